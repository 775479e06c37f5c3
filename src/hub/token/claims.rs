//! What a token says of itself besides its payload, and how that is written: entries `tag || u16(len) || value`, tags
//! ascending, only labels repeated. Entries of unknown tags are kept and ignored.

use zeroize::Zeroizing;

use super::{
    Contents, PayloadKind, SealProblem,
    body::{read_part, write_part},
    text,
};
use crate::clock::UnixSeconds;

/// Most bytes of claims, encoded.
pub const CLAIMS_MAX: usize = 1024;
/// Longest Hub origin, characters.
pub const ORIGIN_MAX: usize = 255;
/// Longest name of a label, bytes.
pub const LABEL_NAME_MAX: usize = 64;
/// Longest value of a label, bytes.
pub const LABEL_VALUE_MAX: usize = 256;

const ORIGIN: u8 = 1;
const RESEAL_COUNT: u8 = 2;
const LABEL: u8 = 3;

/// What an authentic token says of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// Names the token.
    pub token_id: [u8; 16],
    /// Names the grant; survives resealing.
    pub grant_id: [u8; 16],
    /// What the payload is.
    pub kind: PayloadKind,
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// When it expires; `None` is never.
    pub expires_at: Option<UnixSeconds>,
    /// Whether it is bound to a username.
    pub username_bound: bool,
    /// Whether it is bound to a hubLoginToken.
    pub hub_login_token_bound: bool,
    /// The Hub's origin.
    pub hub_origin: Option<String>,
    /// How often the grant was resealed.
    pub reseal_count: u32,
    /// Names and values, in the order they were sealed in.
    pub labels: Vec<(String, String)>,
}

/// What the entries say.
#[derive(Default)]
pub(super) struct Entries<'a> {
    pub(super) origin: Option<&'a str>,
    pub(super) reseal_count: u32,
    pub(super) labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Entries<'a> {
    /// Reads them; `None` where they are not exactly of the form.
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut entries = Self::default();
        let mut before = None;
        while !bytes.is_empty() {
            let (tag, value, rest) = read_entry(bytes)?;
            if before.is_some_and(|before| tag < before || tag == before && tag != LABEL) {
                return None;
            }
            match tag {
                ORIGIN => entries.origin = Some(str::from_utf8(value).ok().filter(|text| origin_fits(text))?),
                RESEAL_COUNT => entries.reseal_count = u32::from_be_bytes(value.try_into().ok()?),
                LABEL => entries.labels.push(read_label(value)?),
                _ => {}
            }
            (before, bytes) = (Some(tag), rest);
        }
        Some(entries)
    }
}

/// Checks and writes the entries of a new token.
pub(super) fn write(contents: &Contents<'_>) -> Result<Zeroizing<Vec<u8>>, SealProblem> {
    if let Some(origin) = contents.hub_origin {
        text::check_ascii(origin, ORIGIN_MAX).map_err(SealProblem::Origin)?;
    }
    let mut len = contents.hub_origin.map_or(0, |origin| 3 + origin.len());
    len += if contents.reseal_count == 0 { 0 } else { 3 + 4 };
    for (name, value) in contents.labels {
        text::check(name, 1, LABEL_NAME_MAX).map_err(SealProblem::LabelName)?;
        text::check(value, 0, LABEL_VALUE_MAX).map_err(SealProblem::LabelValue)?;
        len += 3 + label_len(name, value);
    }
    if len > CLAIMS_MAX {
        return Err(SealProblem::LabelsTooLong);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    if let Some(origin) = contents.hub_origin {
        write_entry(ORIGIN, origin.as_bytes(), &mut bytes);
    }
    if contents.reseal_count != 0 {
        write_entry(RESEAL_COUNT, &contents.reseal_count.to_be_bytes(), &mut bytes);
    }
    for (name, value) in contents.labels {
        let mut label = Zeroizing::new(Vec::with_capacity(label_len(name, value)));
        write_part(name.as_bytes(), &mut label);
        write_part(value.as_bytes(), &mut label);
        write_entry(LABEL, &label, &mut bytes);
    }
    Ok(bytes)
}

/// The same entries with one reseal more in the count, everything else byte for byte; `None` where they are not of
/// the form, or would come to more than a token can hold.
pub(super) fn counted_up(claims: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let count = Entries::read(claims)?.reseal_count.saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(claims.len() + 3 + 4));
    let mut rest = claims;
    while let Some((tag, value, after)) = read_entry(rest).filter(|&(tag, ..)| tag < RESEAL_COUNT) {
        write_entry(tag, value, &mut bytes);
        rest = after;
    }
    write_entry(RESEAL_COUNT, &count.to_be_bytes(), &mut bytes);
    if let Some((RESEAL_COUNT, _, after)) = read_entry(rest) {
        rest = after;
    }
    bytes.extend_from_slice(rest);
    (bytes.len() <= CLAIMS_MAX).then_some(bytes)
}

fn origin_fits(text: &str) -> bool {
    text::check_ascii(text, ORIGIN_MAX).is_ok()
}

fn label_len(name: &str, value: &str) -> usize {
    2 + name.len() + 2 + value.len()
}

fn read_label(bytes: &[u8]) -> Option<(&str, &str)> {
    let (name, rest) = read_part(bytes)?;
    let (value, rest) = read_part(rest)?;
    let (name, value) = (str::from_utf8(name).ok()?, str::from_utf8(value).ok()?);
    let fits = rest.is_empty()
        && text::check(name, 1, LABEL_NAME_MAX).is_ok()
        && text::check(value, 0, LABEL_VALUE_MAX).is_ok();
    fits.then_some((name, value))
}

fn read_entry(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (value, rest) = read_part(rest)?;
    Some((tag, value, rest))
}

fn write_entry(tag: u8, value: &[u8], to: &mut Vec<u8>) {
    to.push(tag);
    write_part(value, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents<'a>(origin: Option<&'a str>, reseal_count: u32, labels: &'a [(&'a str, &'a str)]) -> Contents<'a> {
        Contents { hub_origin: origin, reseal_count, labels, ..Contents::default() }
    }

    fn entry(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entry(tag, value, &mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_is_read_and_nothing_is_written_for_nothing() {
        let labels = [("tenant", "7"), ("tenant", ""), ("é", "ü")];
        let bytes = write(&contents(Some("https://core.broadsoftlabs.com"), 3, &labels)).unwrap();
        let entries = Entries::read(&bytes).unwrap();
        assert_eq!(entries.origin, Some("https://core.broadsoftlabs.com"));
        assert_eq!((entries.reseal_count, entries.labels), (3, labels.to_vec()));
        assert!(write(&Contents::default()).unwrap().is_empty());
    }

    #[test]
    fn entries_out_of_order_repeated_cut_off_or_out_of_form_are_refused() {
        let (origin, count, label) = (entry(1, b"https://h"), entry(2, &[0; 4]), entry(3, &[0, 1, b'n', 0, 0]));
        for good in [&[&origin, &count, &label, &label][..], &[&entry(0, b""), &count, &entry(9, b"?")]] {
            assert!(Entries::read(&good.iter().copied().flatten().copied().collect::<Vec<_>>()).is_some());
        }
        let (wide, control, nameless) = (entry(2, &[0; 5]), entry(3, &[0, 1, 7, 0, 0]), entry(3, &[0, 0, 0, 0]));
        let (space, latin, unknown) = (entry(1, b"https://h "), entry(3, &[0, 1, 0xff, 0, 0]), entry(9, b""));
        let mut tail = entry(3, &[0, 1, b'n', 0, 0, 0]);
        for bad in [
            &[&count, &origin][..],
            &[&origin, &origin],
            &[&count, &count],
            &[&unknown, &unknown],
            &[&wide],
            &[&control],
            &[&nameless],
            &[&space],
            &[&latin],
            &[&tail],
        ] {
            assert!(Entries::read(&bad.iter().copied().flatten().copied().collect::<Vec<_>>()).is_none());
        }
        tail.truncate(5);
        assert!(Entries::read(&tail).is_none());
    }

    #[test]
    fn resealing_counts_up_and_keeps_the_rest_byte_for_byte() {
        let (low, origin, label, high) =
            (entry(0, b"?"), entry(1, b"https://h"), entry(3, &[0, 1, b'n', 0, 0]), entry(200, b"new"));
        let with = |count: &[Vec<u8>]| {
            let mut all = vec![low.clone(), origin.clone()];
            all.extend_from_slice(count);
            all.extend([label.clone(), high.clone()]);
            all.concat()
        };
        let count = |n: u32| with(&[entry(2, &n.to_be_bytes())]);
        assert_eq!(*counted_up(&with(&[])).unwrap(), count(1));
        assert_eq!(*counted_up(&count(1)).unwrap(), count(2));
        assert_eq!(*counted_up(&count(u32::MAX)).unwrap(), count(u32::MAX));
        assert_eq!(*counted_up(&[]).unwrap(), entry(2, &1_u32.to_be_bytes()));
        assert!(counted_up(&entry(9, &[0; 1015])).is_none(), "no room for the count");
        assert!(counted_up(&entry(9, &[0; 1014])).is_some());
    }

    #[test]
    fn labels_and_origins_have_limits() {
        let (longer, more) = ("n".repeat(65), "v".repeat(257));
        let (long, text) = (&longer[1..], &more[1..]);
        let problem = |labels: &[(&str, &str)]| write(&contents(None, 0, labels)).err();
        assert_eq!(problem(&[(long, text), (long, text), (long, text)]), None);
        assert_eq!(problem(&[(long, text); 4]), Some(SealProblem::LabelsTooLong));
        assert_eq!(problem(&[(&longer, "")]), Some(SealProblem::LabelName(text::TextProblem::TooLong(64))));
        assert_eq!(problem(&[("", "v")]), Some(SealProblem::LabelName(text::TextProblem::Empty)));
        assert_eq!(problem(&[("n", &more)]), Some(SealProblem::LabelValue(text::TextProblem::TooLong(256))));
        assert_eq!(problem(&[("n", "\u{85}")]), Some(SealProblem::LabelValue(text::TextProblem::Control)));
        let origin = |text: &str| write(&contents(Some(text), 0, &[])).err();
        assert_eq!(origin(&"h".repeat(255)), None);
        assert_eq!(origin(&"h".repeat(256)), Some(SealProblem::Origin(text::TextProblem::TooLong(255))));
        assert_eq!(origin("https://hüb"), Some(SealProblem::Origin(text::TextProblem::NotAscii)));
        assert_eq!(origin(""), Some(SealProblem::Origin(text::TextProblem::Empty)));
    }
}
