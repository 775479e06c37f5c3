//! Records as lines of JSON. Each starts with its place in the chain (`seq`, `prev`), then `time` and `kind`, always in
//! this order and without white space, so that a reader needs no JSON parser to follow the chain. Texts that came
//! from outside are escaped; there is no field for a token, payload, secret, hash or name of a user.

use std::fmt::{self, Write as _};

use super::{
    chain::{Head, JournalKeys},
    event::{Entry, Event, Outcome, Subject, Who},
    op::Op,
};
use crate::clock::UnixSeconds;

/// Longest line that is read, bytes: a batch of 1,000 items takes up to 200 KiB.
pub const LINE_MAX: usize = 1 << 20;

/// What stands between the body of a sealed record and its MAC.
const MAC: &[u8] = b",\"mac\":\"";

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call.
    Call,
    /// Nothing but a seal.
    Seal,
    /// The first record of a process, or of a file after a rotation. Sealed.
    Opening,
    /// The last record of a process that stopped cleanly, or of a file before a rotation. Sealed.
    Closing,
    /// A reload of configuration, policy and keyring, or its refusal.
    Reload,
    /// The end of a time in which records were refused.
    Fault,
}

impl Kind {
    /// Whether such a record carries a MAC.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        matches!(self, Self::Seal | Self::Opening | Self::Closing)
    }

    const ALL: [Self; 6] = [Self::Call, Self::Seal, Self::Opening, Self::Closing, Self::Reload, Self::Fault];

    const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Seal => "seal",
            Self::Opening => "opening",
            Self::Closing => "closing",
            Self::Reload => "reload",
            Self::Fault => "fault",
        }
    }
}

/// Begins the tail of a record: all of it but its place in the chain.
pub(super) fn begin(tail: &mut Vec<u8>, at: UnixSeconds, kind: Kind) {
    number(tail, ",\"time\":", at.0);
    tail.extend_from_slice(b",\"kind\":\"");
    tail.extend_from_slice(kind.name().as_bytes());
    tail.push(b'"');
}

/// Adds `"name":"text"`, escaped.
pub(super) fn text(tail: &mut Vec<u8>, name: &'static str, text: impl fmt::Display) {
    tail.extend_from_slice(b",\"");
    tail.extend_from_slice(name.as_bytes());
    tail.extend_from_slice(b"\":\"");
    // Writing to memory does not fail.
    let _ = write!(Escaped(tail), "{text}");
    tail.push(b'"');
}

/// Adds `"name":number`.
pub(super) fn count(tail: &mut Vec<u8>, name: &'static str, value: u64) {
    tail.extend_from_slice(b",\"");
    tail.extend_from_slice(name.as_bytes());
    tail.extend_from_slice(b"\":");
    decimal(tail, value);
}

/// Writes the tail of a call's record.
pub(super) fn call(tail: &mut Vec<u8>, event: &Event<'_>, keys: &JournalKeys) {
    begin(tail, event.at, Kind::Call);
    pair(tail, ",\"op\":\"", event.op.name());
    text(tail, "caller", event.caller);
    match event.entries {
        [entry] if !event.op.is_batch() => {
            for (name, value) in
                [(",\"object\":\"", entry.object), (",\"rule\":\"", entry.rule), (",\"key\":\"", entry.key)]
            {
                if !value.is_empty() {
                    pair(tail, name, value);
                }
            }
            if entry.key_version > 0 {
                count(tail, "version", entry.key_version.into());
            }
            if let Some(id) = entry.token_id {
                tail.extend_from_slice(b",\"token\":\"");
                hex(tail, &id);
                tail.push(b'"');
            }
            subject(tail, entry.subject, keys);
            if let Some(cut) = &entry.cut {
                pair(tail, ",\"cuts\":\"", cut.kind);
                if let Some(id) = cut.grant_id {
                    tail.extend_from_slice(b",\"grant\":\"");
                    hex(tail, &id);
                    tail.push(b'"');
                }
                number(tail, ",\"until\":", cut.until.0);
            }
        }
        entries => items(tail, entries, keys),
    }
    outcome(tail, event.outcome);
    pair(tail, ",\"request\":\"", event.request_id);
    count(tail, "us", u64::try_from(event.latency.as_micros()).unwrap_or(u64::MAX));
}

/// The items of a batch: what they have in common once, then a short list for each.
fn items(tail: &mut Vec<u8>, entries: &[Entry<'_>], keys: &JournalKeys) {
    if entries.is_empty() {
        return;
    }
    let mut grounds: Vec<(&str, &str, &str)> = Vec::new();
    let mut lists = Vec::with_capacity(64 * entries.len());
    for entry in entries {
        let ground = (entry.object, entry.rule, entry.key);
        let known = grounds.last().is_some_and(|last| *last == ground).then(|| grounds.len() - 1);
        let known = known.or_else(|| grounds.iter().position(|each| *each == ground));
        let at = known.unwrap_or_else(|| {
            grounds.push(ground);
            grounds.len() - 1
        });
        lists.push(if lists.is_empty() { b'[' } else { b',' });
        lists.push(b'[');
        decimal(&mut lists, at as u64);
        lists.push(b',');
        decimal(&mut lists, entry.key_version.into());
        lists.extend_from_slice(b",\"");
        if let Some(pseudonym) = keys.pseudonym(entry.subject) {
            hex(&mut lists, &pseudonym);
        }
        lists.extend_from_slice(b"\",\"");
        if let Some(id) = entry.token_id {
            hex(&mut lists, &id);
        }
        lists.extend_from_slice(b"\",\"");
        lists.extend_from_slice(entry.outcome.name().as_bytes());
        if let Outcome::Refused(_, reason) = entry.outcome {
            lists.extend_from_slice(b"\",\"");
            lists.extend_from_slice(reason.as_bytes());
        }
        lists.extend_from_slice(b"\"]");
    }
    tail.extend_from_slice(b",\"grounds\":");
    for (at, (object, rule, key)) in grounds.into_iter().enumerate() {
        tail.push(if at == 0 { b'[' } else { b',' });
        pair(tail, "[\"", object);
        pair(tail, ",\"", rule);
        pair(tail, ",\"", key);
        tail.push(b']');
    }
    tail.extend_from_slice(b"],\"items\":");
    tail.extend_from_slice(&lists);
    tail.push(b']');
}

fn subject(tail: &mut Vec<u8>, subject: Subject<'_>, keys: &JournalKeys) {
    let name: &[u8] = match subject.0 {
        Who::Nobody => return,
        Who::User(_) => b",\"user\":\"",
        Who::Client(_) => b",\"client\":\"",
    };
    if let Some(pseudonym) = keys.pseudonym(subject) {
        tail.extend_from_slice(name);
        hex(tail, &pseudonym);
        tail.push(b'"');
    }
}

fn outcome(tail: &mut Vec<u8>, outcome: Outcome) {
    pair(tail, ",\"outcome\":\"", outcome.name());
    if let Outcome::Refused(_, reason) = outcome {
        pair(tail, ",\"reason\":\"", reason);
    }
}

/// Puts a tail in its place after `before`: appends the whole line, newline included, to `out`, and gives the new head.
/// A sealed record gets its MAC on the way.
pub(super) fn place(out: &mut Vec<u8>, before: Head, tail: &[u8], seal: Option<&JournalKeys>) -> Head {
    let start = out.len();
    let sequence = before.sequence + 1;
    out.extend_from_slice(b"{\"seq\":");
    decimal(out, sequence);
    out.extend_from_slice(b",\"prev\":\"");
    hex(out, &before.hash);
    out.push(b'"');
    out.extend_from_slice(tail);
    if let Some(keys) = seal {
        let mac = keys.seal(&out[start..]);
        out.extend_from_slice(MAC);
        hex(out, &mac);
        out.push(b'"');
    }
    out.push(b'}');
    let head = Head::of(sequence, &out[start..]);
    out.push(b'\n');
    head
}

/// What a reader must know of a line to follow the chain.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) sequence: u64,
    pub(super) prev: [u8; 32],
    pub(super) time: i64,
    pub(super) kind: Kind,
    /// The body that was sealed, and the MAC.
    pub(super) seal: Option<(&'a [u8], [u8; 32])>,
}

/// Reads the place, time and kind of a line without its newline; nothing where it is none of ours.
pub(super) fn parse(line: &[u8]) -> Option<Parsed<'_>> {
    let (sequence, rest) = integer(line.strip_prefix(b"{\"seq\":")?)?;
    let rest = rest.strip_prefix(b",\"prev\":\"")?;
    let (digits, rest) = rest.split_at_checked(64)?;
    let (time, rest) = integer(rest.strip_prefix(b"\",\"time\":")?)?;
    let rest = rest.strip_prefix(b",\"kind\":\"")?;
    let end = rest.iter().position(|&b| b == b'"')?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == &rest[..end])?;
    let inside = line.strip_suffix(b"}")?;
    let seal = if kind.is_sealed() {
        let (body, mac) = inside.strip_suffix(b"\"")?.split_at_checked(inside.len() - 1 - 64)?;
        Some((body.strip_suffix(MAC)?, unhex(mac)?))
    } else {
        None
    };
    Some(Parsed { sequence: u64::try_from(sequence).ok()?, prev: unhex(digits)?, time, kind, seal })
}

/// A canonical decimal, and what follows it.
fn integer(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let end = bytes.iter().position(|b| !b.is_ascii_digit() && *b != b'-')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some((value, &bytes[end..]))
}

fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    (base16ct::lower::decode(digits, &mut bytes).ok()?.len() == 32).then_some(bytes)
}

/// `start` ends with the opening quote of `value`.
fn pair(tail: &mut Vec<u8>, start: &'static str, value: &str) {
    tail.extend_from_slice(start.as_bytes());
    escape(tail, value);
    tail.push(b'"');
}

fn number(tail: &mut Vec<u8>, name: &'static str, value: i64) {
    tail.extend_from_slice(name.as_bytes());
    if value < 0 {
        tail.push(b'-');
    }
    decimal(tail, value.unsigned_abs());
}

fn decimal(to: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[(value % 10) as usize];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[start..]);
}

fn hex<const N: usize>(to: &mut Vec<u8>, bytes: &[u8; N]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        to.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn escape(to: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\' && b != 0x7f) {
        return to.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        match c {
            '"' | '\\' => to.extend_from_slice(&[b'\\', c as u8]),
            c if c.is_ascii_control() => {
                to.extend_from_slice(b"\\u00");
                hex(to, &[c as u8]);
            }
            c => to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Escapes what is written through it.
struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Whether a call is worth a record: whatever grants, cuts off, administers or explains, every judgement that something is
/// not valid, and every look at keys or at what is cut off that was refused; a judgement that all is valid only where `all`
/// are wanted. A call over its rate, or over
/// the load, was not done: recorded, a flood of them would fill the disk.
pub(super) fn is_recorded(event: &Event<'_>, all: bool) -> bool {
    let valid = Outcome::Judged(crate::verdict::Verdict::Valid);
    let fine = match event.op {
        Op::BatchVerify | Op::BatchVerifyHash => {
            event.outcome == Outcome::Done && event.entries.iter().all(|entry| entry.outcome == valid)
        }
        _ => event.outcome == valid,
    };
    let paced = matches!(event.outcome, Outcome::Refused(_, "RATE_LIMITED" | "OVERLOADED"));
    let refused = matches!(event.outcome, Outcome::Refused(..));
    let looks = event.op.looks_at_keys() || event.op == Op::ListRevocations;
    let told = event.op.judges() && (all || !fine) || looks && refused;
    !paced && (event.op.grants() || event.op.cuts_off() || event.op.administers() || event.op.explains() || told)
}

#[cfg(test)]
mod tests;
