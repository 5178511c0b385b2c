//! The ring against a model, and between two threads.

use proptest::prelude::*;

use super::record::{Header, Quality, State, parse};
use super::{Full, Ring};
use crate::limits;

fn push(ring: &Ring, words: &[u64]) -> Result<(), Full> {
    let mut record = ring.reserve();
    for word in words {
        record.push(*word)?;
    }
    record.commit()
}

#[test]
fn records_come_out_as_they_went_in() {
    let ring = Ring::new(16);
    let mut out = Vec::new();
    assert!(!ring.pop(&mut out));
    push(&ring, &[1, 2, 3]).unwrap();
    push(&ring, &[]).unwrap();
    assert!(ring.pop(&mut out));
    assert_eq!(out, [1, 2, 3]);
    assert!(ring.pop(&mut out));
    assert!(out.is_empty());
    assert!(!ring.pop(&mut out));
}

#[test]
fn full_ring_refuses_a_record_and_keeps_the_old_ones() {
    let ring = Ring::new(8);
    push(&ring, &[1, 2, 3]).unwrap();
    push(&ring, &[4, 5, 6]).unwrap();
    assert_eq!(push(&ring, &[]), Err(Full));
    assert_eq!(push(&ring, &[7]), Err(Full));
    let mut out = Vec::new();
    assert!(ring.pop(&mut out));
    assert_eq!(out, [1, 2, 3]);
    push(&ring, &[8]).unwrap();
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn ring_that_is_not_written_takes_no_memory() {
    const RINGS: usize = 1024;
    let before = resident_bytes();
    let rings: Vec<Ring> = (0..RINGS).map(|_| Ring::new(limits::RING_WORDS)).collect();
    let taken = resident_bytes().saturating_sub(before);
    let size = RINGS * limits::RING_WORDS * 8;
    assert!(taken < size / 2, "{taken} of {size}");
    drop(rings);
}

#[test]
fn header_survives_the_ring() {
    let ring = Ring::new(16);
    let header = Header {
        session: 7,
        time_ns: 99,
        events: 3,
        entry: 12,
        quality: Quality::Complete,
        state: State::Blocked,
        running_ns: 5,
        off_ns: 1_000_000,
    };
    let mut record = ring.reserve();
    header.write(&mut record).unwrap();
    record.push(0xabc).unwrap();
    header.set_quality(&mut record, Quality::Truncated);
    record.commit().unwrap();
    let mut out = Vec::new();
    assert!(ring.pop(&mut out));
    let expected = Header {
        quality: Quality::Truncated,
        ..header
    };
    assert_eq!(parse(&out), Some((expected, &[0xabc][..])));
    assert_eq!(parse(&out[..2]), None);
}

/// The record with this number: the number, and up to six words made from it.
fn numbered(number: u64) -> Vec<u64> {
    std::iter::once(number)
        .chain((0..number % 7).map(|offset| number * 10 + offset))
        .collect()
}

#[test]
fn two_threads_agree_on_every_record() {
    const RECORDS: u64 = 20_000;
    let ring = Ring::new(64);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let lost = (0..RECORDS).filter(|number| push(&ring, &numbered(*number)).is_err());
            lost.count() as u64
        });
        let (mut out, mut popped, mut last) = (Vec::new(), 0, None);
        loop {
            let finished = producer.is_finished();
            while ring.pop(&mut out) {
                assert!(last < Some(out[0]), "records in order");
                last = Some(out[0]);
                assert_eq!(out, numbered(out[0]));
                popped += 1;
            }
            if finished {
                break;
            }
            std::hint::spin_loop();
        }
        let lost = producer.join().unwrap();
        assert_eq!(popped + lost, RECORDS);
    });
}

proptest! {
    #[test]
    fn pushes_are_pops_plus_lost(steps in prop::collection::vec(prop::option::of(0_u64..12), 0..200)) {
        let ring = Ring::new(32);
        let mut model = std::collections::VecDeque::new();
        let (mut pushed, mut popped, mut lost) = (0_usize, 0_usize, 0_usize);
        let mut out = Vec::new();
        for step in steps {
            if let Some(len) = step {
                let words: Vec<u64> = (0..len).map(|offset| pushed as u64 * 100 + offset).collect();
                pushed += 1;
                match push(&ring, &words) {
                    Ok(()) => model.push_back(words),
                    Err(Full) => lost += 1,
                }
            } else if ring.pop(&mut out) {
                prop_assert_eq!(Some(out.clone()), model.pop_front());
                popped += 1;
            } else {
                prop_assert!(model.is_empty());
            }
        }
        while ring.pop(&mut out) {
            prop_assert_eq!(Some(out.clone()), model.pop_front());
            popped += 1;
        }
        prop_assert_eq!(pushed, popped + lost);
    }
}
