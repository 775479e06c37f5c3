//! A small journal, and everything that somebody who may write the file could do to it.

use super::*;
use crate::{audit::chain::test_keys, clock::UnixSeconds};

/// Opening, `calls` calls, and after every third a seal; closing. Lines without newlines.
fn lines(calls: u64) -> Vec<Vec<u8>> {
    let keys = test_keys(1);
    let (mut head, mut lines) = (Head::NONE, Vec::new());
    let mut add = |kind: Kind, time: i64| {
        let (mut tail, mut line) = (Vec::new(), Vec::new());
        record::begin(&mut tail, UnixSeconds(time), kind);
        head = record::place(&mut line, head, &tail, kind.is_sealed().then_some(&keys));
        line.pop();
        lines.push(line);
    };
    add(Kind::Opening, 100);
    for n in 0..calls {
        add(Kind::Call, 100 + i64::try_from(n).unwrap());
        if n % 3 == 2 {
            add(Kind::Seal, 100 + i64::try_from(n).unwrap());
        }
    }
    add(Kind::Closing, 200);
    lines
}

fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}

fn judged(bytes: &[u8]) -> Report {
    verify_chain(bytes, Some(&test_keys(1))).unwrap()
}

fn problems(bytes: &[u8]) -> Vec<Problem> {
    judged(bytes).findings.into_iter().map(|finding| finding.problem).collect()
}

#[test]
fn a_journal_as_written_holds() {
    let report = judged(&text(&lines(10)));
    assert_eq!((report.findings.as_slice(), report.records, report.first), (&[][..], 15, 1));
    assert_eq!((report.sealed, report.unclean, report.backward), (Some(report.head), 0, (0, 0)));
}

#[test]
fn what_a_process_that_was_killed_had_not_sealed_is_counted() {
    let keys = test_keys(1);
    let mut all = lines(4);
    all.pop();
    // Two seals stand in it: the opening record, and one after three calls. One call more, and then a new start.
    let head = Head::of(all.len() as u64, all.last().unwrap());
    let (mut tail, mut line) = (Vec::new(), Vec::new());
    record::begin(&mut tail, UnixSeconds(150), Kind::Opening);
    record::place(&mut line, head, &tail, Some(&keys));
    line.pop();
    all.push(line);
    let mut verifier = Verifier::new(Some(&keys), None);
    verifier.file(text(&all).as_slice(), |_| ()).unwrap();
    let report = verifier.finish(true);
    assert_eq!((report.problems, report.unclean, report.unvouched), (0, 1, 1));
}

#[test]
fn every_edited_byte_is_found() {
    let whole = text(&lines(4));
    for at in 0..whole.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut edited = whole.clone();
            edited[at] ^= flip;
            assert!(!problems(&edited).is_empty(), "byte {at}: {}", String::from_utf8_lossy(&edited[..=at]));
        }
    }
}

#[test]
fn every_removed_doubled_or_swapped_record_is_found() {
    let whole = lines(7);
    for at in 0..whole.len() {
        let mut removed = whole.clone();
        removed.remove(at);
        assert!(!problems(&text(&removed)).is_empty(), "removed {at}");
        let mut doubled = whole.clone();
        doubled.insert(at, whole[at].clone());
        assert!(!problems(&text(&doubled)).is_empty(), "doubled {at}");
        for other in at + 1..whole.len() {
            let mut swapped = whole.clone();
            swapped.swap(at, other);
            assert!(!problems(&text(&swapped)).is_empty(), "swapped {at} and {other}");
        }
    }
}

#[test]
fn every_cut_is_found_but_at_a_closing_record() {
    let whole = text(&lines(7));
    for at in 0..whole.len() {
        assert!(!problems(&whole[..at]).is_empty(), "cut at {at}");
    }
}

/// Who has no key can make the chain anew, but not the seals.
#[test]
fn a_chain_made_anew_without_the_key_is_found_by_its_seals_and_without_a_key_is_not() {
    let mut edited = lines(7);
    let (mut head, forger) = (Head::NONE, test_keys(9));
    for (at, line) in edited.iter_mut().enumerate() {
        let parsed = record::parse(line).unwrap();
        let (mut tail, mut anew) = (Vec::new(), Vec::new());
        record::begin(&mut tail, UnixSeconds(if at == 3 { 99 } else { parsed.time }), parsed.kind);
        head = record::place(&mut anew, head, &tail, parsed.kind.is_sealed().then_some(&forger));
        anew.pop();
        *line = anew;
    }
    assert!(problems(&text(&edited)).iter().all(|problem| *problem == Problem::BadSeal));
    assert_eq!(judged(&text(&edited)).problems, 4);
    let unkeyed = verify_chain(text(&edited).as_slice(), None).unwrap();
    assert!(unkeyed.findings.is_empty() && !unkeyed.keyed);
}

#[test]
fn a_live_journal_needs_no_closing_record_and_may_end_within_a_line() {
    let whole = lines(7);
    let open = text(&whole[..whole.len() - 1]);
    let live = |bytes: &[u8]| {
        let keys = test_keys(1);
        let mut verifier = Verifier::new(Some(&keys), None);
        verifier.file(bytes, |_| ()).unwrap();
        verifier.finish(true)
    };
    assert_eq!(problems(&open), [Problem::NoClosing]);
    assert!(live(&open).findings.is_empty() && live(&open[..open.len() - 9]).findings.is_empty());
    assert!(!live(&[&open[..open.len() - 9], b"\n"].concat()).findings.is_empty());
}

#[test]
fn files_are_judged_in_order_and_a_head_shows_what_is_missing() {
    let keys = test_keys(1);
    let mut first = lines(4);
    let closed = Head::of(7, first.last().unwrap());
    let (mut tail, mut line) = (Vec::new(), Vec::new());
    record::begin(&mut tail, UnixSeconds(50), Kind::Opening);
    let opened = record::place(&mut line, closed, &tail, Some(&keys));
    let mut second = line;
    tail.clear();
    record::begin(&mut tail, UnixSeconds(50), Kind::Closing);
    let end = record::place(&mut second, opened, &tail, Some(&keys));
    let judge = |files: &[&[u8]], wanted: Option<Head>| {
        let mut verifier = Verifier::new(Some(&keys), wanted);
        for file in files {
            verifier.file(*file, |_| ()).unwrap();
        }
        let report = verifier.finish(false);
        (report.findings.iter().map(|finding| finding.problem).collect::<Vec<_>>(), report.backward)
    };
    let one = text(&first);
    assert_eq!(judge(&[&one, &second], Some(end)), (vec![], (1, 150)));
    assert_eq!(judge(&[&second], Some(opened)).0, []);
    assert_eq!(judge(&[&one], Some(end)).0, [Problem::BeforeHead]);
    assert_eq!(judge(&[&one, &second], Some(Head { hash: [1; 32], ..closed })).0, [Problem::OtherHead]);
    assert!(!judge(&[&second, &one], None).0.is_empty());
    first.pop();
    assert_eq!(judge(&[&text(&first), &second], None).0, [Problem::Gap { due: 7, found: 8 }]);
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let endless = vec![b'x'; 3 * LINE_MAX];
    assert_eq!(problems(&endless), [Problem::NoRecord, Problem::Empty]);
    assert_eq!(problems(b""), [Problem::Empty]);
}
