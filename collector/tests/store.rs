//! Aggregates stay exact, whatever order windows, merges and broken merges come in.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use flashlamp_collector::aggregate::query::{self, Query};
use flashlamp_collector::aggregate::window::{Identity, Span, Window};
use flashlamp_collector::allowance::Allowance;
use flashlamp_collector::compact::{self, Step};
use flashlamp_collector::random;
use flashlamp_collector::series::Clock;
use flashlamp_collector::store::keys::{self, Bucket, Series};
use flashlamp_collector::store::sqlite::{Options, SqliteStore};
use flashlamp_collector::store::{Batch, Store, WriteError};
use flashlamp_collector::time::{Day, Hour};
use flashlamp_profile::{
    Column, EventCount, FrameSpec, NewSample, Profile, ProfileBuilder, Tally, Timestamp, ValueType,
    encode, labels,
};
use proptest::prelude::*;
use tempfile::TempDir;

const SERVICE: &str = "shop";
const ENTRIES: [&str; 2] = ["/a", "/b"];

/// The first hour of the days that the tests fill.
fn first_hour() -> Hour {
    Day::parse("2026-11-21").unwrap().first_hour()
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    hour: u64,
    entry: usize,
    function: u64,
    events: u64,
    lost: u64,
    with_wall: bool,
}

/// One sample of the first hour.
const ONE: Sent = Sent {
    hour: 0,
    entry: 0,
    function: 0,
    events: 1,
    lost: 0,
    with_wall: false,
};

impl Sent {
    fn hour(self) -> Hour {
        first_hour().plus(self.hour)
    }

    fn profile(self) -> Profile {
        let mut builder = ProfileBuilder::new();
        let types = [ValueType::CPU, ValueType::WALL];
        let types = if self.with_wall {
            &types[..]
        } else {
            &types[..1]
        };
        builder.value_types(types);
        let function = format!("f{}", self.function);
        let frames = [
            builder.frame(&FrameSpec::new("main")),
            builder.frame(&FrameSpec::new(&function)),
        ];
        let stack = builder.stack_root_first(frames);
        let labels = builder.labels(&[(labels::ENTRY, ENTRIES[self.entry])]);
        builder.sample(NewSample {
            stack,
            event_count: EventCount::new(self.events),
            values: &[self.events * 10, self.events * 100][..types.len()],
            time: None,
            thread: None,
            labels,
        });
        builder.loss(
            "ring_full",
            Tally {
                samples: self.lost,
                events: self.lost * 2,
            },
        );
        builder.build().unwrap()
    }

    fn window(self) -> Window {
        let from = self.hour().start();
        let until = Timestamp::from_nanos(from.as_nanos() + 10_000_000_000);
        Window::new(SERVICE, None, &self.profile(), Span { from, until }).unwrap()
    }
}

#[derive(Debug, Clone)]
enum Act {
    Send(Sent),
    PlanDeltas {
        hour: u64,
        with_wall: bool,
    },
    PlanParts {
        hour: u64,
        of_day: bool,
        with_wall: bool,
    },
    /// Writes the planned step of this place, which may be stale, and keeps it to be tried again.
    Write(usize),
    Pass {
        hour: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let sent = (
        0_u64..30,
        0_usize..2,
        0_u64..3,
        1_u64..5,
        0_u64..3,
        any::<bool>(),
    );
    prop_oneof![
        4 => sent.prop_map(|(hour, entry, function, events, lost, with_wall)| {
            // Few hours, so that they meet.
            let hour = [0, 1, 23, 24, 29][usize::try_from(hour % 5).unwrap()];
            Act::Send(Sent { hour, entry, function, events, lost, with_wall })
        }),
        2 => (0_usize..5, any::<bool>())
            .prop_map(|(at, with_wall)| Act::PlanDeltas { hour: [0, 1, 23, 24, 29][at], with_wall }),
        2 => (0_usize..5, any::<bool>(), any::<bool>()).prop_map(|(at, of_day, with_wall)| {
            Act::PlanParts { hour: [0, 1, 23, 24, 29][at], of_day, with_wall }
        }),
        3 => any::<prop::sample::Index>().prop_map(|index| Act::Write(index.index(16))),
        1 => (0_u64..40).prop_map(|hour| Act::Pass { hour }),
    ]
}

/// What a query should answer: total by (entry, function), stored and lost.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    cpu: BTreeMap<String, u64>,
    stored: Tally,
    lost: Tally,
}

fn expected(sent: &[Sent], from: u64, until: u64, entry: Option<usize>) -> Expected {
    let mut sum = Expected::default();
    for one in sent.iter().filter(|one| (from..until).contains(&one.hour)) {
        sum.lost += Tally {
            samples: one.lost,
            events: one.lost * 2,
        };
        if entry.is_none_or(|entry| entry == one.entry) {
            *sum.cpu
                .entry(format!("main;f{}", one.function))
                .or_default() += one.events * 10;
            sum.stored += Tally {
                samples: 1,
                events: one.events,
            };
        }
    }
    sum
}

fn answer(store: &dyn Store, from: u64, until: u64, entry: Option<usize>) -> Expected {
    let entry = entry.map(|entry| ENTRIES[entry]);
    let query = Query {
        tenant: "default".to_owned(),
        service: SERVICE.to_owned(),
        entry: entry.map(ToOwned::to_owned),
        clock: Some(Clock::parse("cpu")),
        from: first_hour().plus(from),
        until: first_hour().plus(until),
    };
    let snapshot = store.snapshot().unwrap();
    let Some(answer) = query::read(&*snapshot, &query, &mut Allowance::unlimited()).unwrap() else {
        return Expected::default();
    };
    let folded = encode::folded(&answer.profile, answer.column);
    let line = |line: &str| {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        (stack.to_owned(), count.parse::<u64>().unwrap())
    };
    assert_eq!(
        answer.profile.stored(),
        answer.stored(entry),
        "the header agrees with the samples"
    );
    assert_eq!(
        answer.profile.column_total(Column::Events),
        answer.stored(entry).events
    );
    Expected {
        cpu: folded.lines().map(line).collect(),
        stored: answer.stored(entry),
        lost: answer.lost(),
    }
}

fn check(store: &dyn Store, sent: &[Sent]) {
    for (from, until) in [(0, 24), (24, 48), (0, 48), (1, 30), (23, 25), (0, 1)] {
        for entry in [None, Some(0), Some(1)] {
            let mut should = expected(sent, from, until, entry);
            let is = answer(store, from, until, entry);
            if should.stored.is_zero() && entry.is_some() {
                // Nothing of this entry point: there is no answer, hence no losses either.
                should.lost = Tally::default();
            }
            assert_eq!(is, should, "hours {from}..{until} entry {entry:?}");
        }
    }
}

fn series(with_wall: bool) -> Series {
    Sent { with_wall, ..ONE }.window().series
}

fn send(store: &dyn Store, sent: Sent) {
    let id = random::hex(&random::id());
    let batch = sent
        .window()
        .batch(None, &id, first_hour().start())
        .unwrap();
    store.write(batch).unwrap().wait().unwrap();
}

/// A store with nothing in it, and its folder.
fn empty() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), Options::default()).unwrap();
    (folder, store)
}

fn plan(store: &dyn Store, act: &Act) -> Option<Step> {
    let snapshot = store.snapshot().unwrap();
    match *act {
        Act::PlanDeltas { hour, with_wall } => {
            compact::merge_deltas(&*snapshot, &series(with_wall), first_hour().plus(hour)).unwrap()
        }
        Act::PlanParts {
            hour,
            of_day,
            with_wall,
        } => {
            let hour = first_hour().plus(hour);
            let bucket = if of_day {
                Bucket::Day(hour.day())
            } else {
                Bucket::Hour(hour)
            };
            compact::merge_parts(&*snapshot, &series(with_wall), bucket).unwrap()
        }
        Act::Send(_) | Act::Write(_) | Act::Pass { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sums_are_exact_in_every_interleaving(acts in prop::collection::vec(act(), 1..40)) {
        let (_folder, store) = empty();
        let (mut sent, mut planned): (Vec<Sent>, Vec<Step>) = (Vec::new(), Vec::new());
        for act in &acts {
            match act {
                Act::Send(one) => {
                    send(&store, *one);
                    sent.push(*one);
                }
                Act::Write(place) if !planned.is_empty() => {
                    let step = &planned[place % planned.len()];
                    match store.write(step.batch.clone()).unwrap().wait() {
                        Ok(()) | Err(WriteError::Absent { .. } | WriteError::Present { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                Act::Write(_) => {}
                Act::Pass { hour } => {
                    let now = first_hour().plus(*hour).start();
                    compact::pass(&store, now, &|| true).unwrap();
                }
                Act::PlanDeltas { .. } | Act::PlanParts { .. } => planned.extend(plan(&store, act)),
            }
        }
        check(&store, &sent);
        let later = first_hour().plus(72).start();
        while compact::pass(&store, later, &|| true).unwrap() > 0 {}
        check(&store, &sent);
    }
}

#[test]
fn two_compactors_at_once_lose_and_double_nothing() {
    let (_folder, store) = empty();
    let store: Arc<dyn Store> = Arc::new(store);
    let mut all = Vec::new();
    for number in 0..120_u64 {
        let one = Sent {
            hour: number % 3,
            function: number % 2,
            lost: 1,
            ..ONE
        };
        all.push(one);
    }
    let now = first_hour().plus(10).start();
    let compact_often = || {
        for _ in 0..10 {
            compact::pass(&*store, now, &|| true).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(compact_often);
        scope.spawn(compact_often);
        for one in &all {
            send(&*store, *one);
        }
    });
    check(&*store, &all);
    compact::pass(&*store, now, &|| true).unwrap();
    check(&*store, &all);
}

#[test]
fn a_closed_hour_ends_as_one_part() {
    let (_folder, store) = empty();
    for _ in 0..5 {
        send(&store, ONE);
    }
    // The hour is open and has few deltas: nothing is due.
    assert_eq!(
        compact::pass(&store, first_hour().start(), &|| true).unwrap(),
        0
    );
    assert_eq!(
        compact::pass(&store, first_hour().plus(2).start(), &|| true).unwrap(),
        1
    );
    send(&store, ONE);
    // Late data of a closed hour: its delta, then the two parts of the hour.
    assert_eq!(
        compact::pass(&store, first_hour().plus(2).start(), &|| true).unwrap(),
        2
    );
    // Then the two parts of the day, once it is over.
    assert_eq!(
        compact::pass(&store, first_hour().plus(25).start(), &|| true).unwrap(),
        1
    );
    assert_eq!(
        compact::pass(&store, first_hour().plus(25).start(), &|| true).unwrap(),
        0
    );
    check(&store, &[ONE; 6]);
}

#[test]
fn a_pass_that_is_told_to_stop_looks_at_no_further_series() {
    let (_folder, store) = empty();
    for number in 0..40 {
        let from = first_hour().start();
        let span = Span { from, until: from };
        let service = format!("s{number}");
        let window = Window::new(&service, None, &ONE.profile(), span).unwrap();
        let batch = window.batch(None, &service, from).unwrap();
        store.write(batch).unwrap().wait().unwrap();
    }
    // Nothing is due, so that a pass only looks.
    let now = first_hour().start();
    let asked = std::cell::Cell::new(0);
    let ask = |times: i32| {
        asked.set(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() < times
        };
        compact::pass(&store, now, &go_on).unwrap();
        asked.get()
    };
    assert!(
        ask(i32::MAX) > 2 * 40,
        "it asks at each series, in both halves"
    );
    // What is in hand asks as well, at most once for each of its steps.
    assert!(ask(10) <= 20);
}

#[test]
fn an_open_hour_is_merged_as_it_grows() {
    let (_folder, store) = empty();
    let one = Sent {
        hour: 0,
        entry: 1,
        function: 1,
        events: 2,
        lost: 1,
        with_wall: true,
    };
    for _ in 0..70 {
        send(&store, one);
    }
    assert_eq!(
        compact::pass(&store, first_hour().start(), &|| true).unwrap(),
        1
    );
    check(&store, &[one; 70]);
}

#[test]
fn markers_go_when_their_windows_would_be_refused_as_late() {
    let (_folder, store) = empty();
    let now = ONE.hour().start();
    let ahead = Timestamp::from_nanos(now.as_nanos() + 1_000 * 3_600_000_000_000);
    let identities = [
        ("past", Some(now)),
        ("ahead", Some(ahead)),
        ("unnamed", None),
    ]
    .map(|(key, claimed)| Identity::new(key.to_owned(), claimed, b"body"));
    for identity in &identities {
        let batch = ONE
            .window()
            .batch(Some(identity), &identity.key, now)
            .unwrap();
        store.write(batch).unwrap().wait().unwrap();
    }
    let left = || {
        let snapshot = store.snapshot().unwrap();
        let there =
            |identity: &Identity| snapshot.get(&identity.marker(SERVICE)).unwrap().is_some();
        identities.each_ref().map(there)
    };
    let sweep = |hours| {
        let now = ONE.hour().plus(hours).start();
        compact::sweep_markers(&store, now, &|| true).unwrap()
    };
    assert_eq!(sweep(26), 0);
    assert_eq!(
        left(),
        [true, true, true],
        "late data is taken until then, and a little longer"
    );
    assert_eq!(sweep(27), 3);
    assert_eq!(left(), [false, false, false]);
    check(&store, &[ONE; 3]);
}

#[test]
fn a_damaged_row_does_not_keep_the_others_from_being_merged() {
    let (_folder, store) = empty();
    let good = Sent { hour: 1, ..ONE };
    let mut batch = Batch::new();
    let broken = keys::delta(&good.window().series, first_hour(), "broken");
    batch.put(broken.clone(), vec![1, 0, 0, 0, 9, b'{']);
    store.write(batch).unwrap().wait().unwrap();
    send(&store, good);
    let now = first_hour().plus(10).start();
    assert_eq!(compact::pass(&store, now, &|| true).unwrap(), 1);
    assert!(
        store.snapshot().unwrap().get(&broken).unwrap().is_some(),
        "it is left for inspection"
    );
    assert_eq!(answer(&store, 1, 2, None), expected(&[good], 1, 2, None));
}
