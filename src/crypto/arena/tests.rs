//! Places are taken, wiped, given back and used again; nothing leaks, nothing overlaps.

use std::sync::Arc;

use super::*;

#[test]
fn places_do_not_overlap_and_what_is_given_back_is_wiped_and_used_again() {
    let mut arena = Arena::new();
    let places: Vec<_> = (1..200).map(|len| (arena.take(len).unwrap(), len)).collect();
    let mut spans: Vec<_> = places.iter().map(|(place, len)| (place.addr().get(), *len)).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0 && pair[1].0 % UNIT == 0));
    let mapped = arena.mapped();
    for (place, len) in places {
        arena.give_back(place, len);
    }
    assert_eq!(arena.status().taken, 0);
    assert!(arena.regions.iter().all(|region| region.free.len() == 1), "the holes have grown together");
    assert_eq!(arena.mapped(), mapped);
}

#[test]
fn a_thousand_reloads_take_no_more_memory_than_two() {
    let mut arena = Arena::new();
    // As a reload does: the new keys are there before the old ones go, with short-lived ones in between.
    let load = |arena: &mut Arena| -> Vec<_> {
        arena.reserve(500 * 192 + (16 << 10)).unwrap();
        let keys = |_| {
            let opened = arena.take(128).unwrap();
            let key = arena.take(184).unwrap();
            arena.give_back(opened, 128);
            key
        };
        (0..500).map(keys).collect()
    };
    let (mut serving, mut after_two) = (load(&mut arena), 0);
    for round in 0..1000 {
        let old = std::mem::replace(&mut serving, load(&mut arena));
        for place in old {
            arena.give_back(place, 184);
        }
        if round == 1 {
            after_two = arena.mapped();
        }
    }
    assert_eq!(arena.mapped(), after_two);
    assert_eq!(arena.status().taken, 500 * 192);
    assert!(after_two <= 6 * 500 * 192, "{after_two}");
}

#[test]
fn growth_is_bounded() {
    let mut arena = Arena::new();
    assert_eq!(arena.reserve(MOST + 1), Err(NoRoom::TooMuch));
    assert_eq!(arena.take(MOST + 1), Err(NoRoom::TooMuch));
    assert_eq!(arena.mapped(), 0);
}

#[test]
fn a_dropped_slot_drops_its_value_once_and_leaves_zeros() {
    struct Noted {
        count: Arc<()>,
        bytes: [u8; 40],
    }
    let counted = Arc::new(());
    let note = |_| Slot::new(Noted { count: Arc::clone(&counted), bytes: [0xa5; 40] });
    let slots: Vec<_> = (0..500).map(note).collect();
    assert!(slots.iter().all(|slot| slot.bytes == [0xa5; 40] && Arc::strong_count(&slot.count) == 501));
    drop(slots);
    assert_eq!(Arc::strong_count(&counted), 1);
    let again: Vec<_> = (0..500).map(|_| Slot::zeroed(56)).collect();
    assert!(again.iter().all(|slot| slot.iter().all(|byte| *byte == 0)));
}
