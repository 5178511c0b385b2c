//! Cases that take turns, and stacks that they are compared on.

use std::hint::black_box;
use std::mem::MaybeUninit;

use flashlamp::Clock;

use crate::raised::{below, empty_handler, quiet_profiler, stop, time_of_signal, with_busy_drain};

const SIGNALS: usize = 1000;

/// What lies between two signals that find nothing of ours in the processor's caches, in bytes.
const OTHER_WORK: usize = 8 << 20;

/// Calls `work` from a chain of different functions with frames of different sizes.
macro_rules! chain {
    ($last:ident) => {
        #[inline(never)]
        fn $last(_words: usize, work: &mut dyn FnMut()) -> usize {
            work();
            black_box(1)
        }
    };
    ($first:ident $next:ident $($rest:ident)*) => {
        #[inline(never)]
        fn $first(words: usize, work: &mut dyn FnMut()) -> usize {
            let mut local = [words; stringify!($first $($rest)*).len() / 8 + 1];
            black_box(&mut local);
            $next(words + 1, work) + black_box(local)[0]
        }
        chain!($next $($rest)*);
    };
}

chain!(f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24 f25
    f26 f27 f28 f29 f30 f31 f32);

/// How to handle a signal, and the value that it is raised with.
struct Case {
    name: &'static str,
    action: libc::sigaction,
    value: u64,
}

fn installed() -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; `action` is live.
    let result = unsafe { libc::sigaction(libc::SIGPROF, std::ptr::null(), action.as_mut_ptr()) };
    assert_eq!(result, 0, "sigaction");
    // SAFETY: a C struct of integers, filled by the call.
    unsafe { action.assume_init() }
}

impl Case {
    fn installed(name: &'static str, value: u64) -> Self {
        let action = installed();
        Self {
            name,
            action,
            value,
        }
    }

    fn empty() -> Self {
        let mut action = installed();
        action.sa_sigaction = empty_handler as *const () as usize;
        Self {
            name: "empty handler",
            action,
            value: 0,
        }
    }

    /// The median time of so many signals, in nanoseconds, with `other_work` before each.
    fn turn(&self, signals: usize, other_work: &[u8]) -> f64 {
        // SAFETY: the handlers were installed before, or do nothing.
        let result =
            unsafe { libc::sigaction(libc::SIGPROF, &raw const self.action, std::ptr::null_mut()) };
        assert_eq!(result, 0, "sigaction");
        let times = (0..signals).map(|_| {
            black_box(
                other_work
                    .iter()
                    .step_by(64)
                    .fold(0, |sum, byte| sum ^ byte),
            );
            time_of_signal(self.value).as_secs_f64() * 1e9
        });
        quantile(times.collect(), 0.5)
    }
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a short list"
    )]
    let place = ((values.len() - 1) as f64 * share).round() as usize;
    values[place]
}

fn compare(
    stack: &str,
    (cases, turns): (&[Case], usize),
    other_work: &[u8],
    from: impl Fn(&mut dyn FnMut()),
) {
    // Other work takes its time.
    let signals = if other_work.is_empty() {
        SIGNALS
    } else {
        SIGNALS / 10
    };
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    from(&mut || {
        for _ in 0..turns {
            for (case, times) in cases.iter().zip(&mut times) {
                times.push(case.turn(signals, other_work));
            }
        }
    });
    println!("{stack}:");
    let empty = &times[0].clone();
    for (place, (case, times)) in cases.iter().zip(times).enumerate() {
        let of = |values: &[f64]| {
            let [low, middle, high] = [0.25, 0.5, 0.75].map(|at| quantile(values.to_vec(), at));
            format!("{middle:>6.0} ns ({low:.0} to {high:.0})")
        };
        let net: Vec<f64> = times
            .iter()
            .zip(empty)
            .map(|(time, empty)| time - empty)
            .collect();
        let net = if place == 0 {
            String::new()
        } else {
            format!(", net {}", of(&net))
        };
        println!("  {:<16}{}{net}", case.name, of(&times));
    }
}

/// Compares an empty handler, ours on either clock and that of a peer, which `start` installs: one signal a second by
/// its own timer, the rest is raised. The first number among the arguments sets the turns.
pub(crate) fn compare_with<P>(peer: &'static str, start: impl FnOnce() -> P) {
    let turns = std::env::args().find_map(|argument| argument.parse().ok());
    let empty = Case::empty();
    let profilers = [Clock::Cpu, Clock::Wall].map(quiet_profiler);
    let ours = |place: usize, name: &'static str| {
        let value = flashlamp::bench_support::signal_value(&profilers[place]);
        Case::installed(name, value)
    };
    let (cpu, wall) = (ours(0, "flashlamp CPU"), ours(1, "flashlamp wall"));
    let peers = start();
    let cases = [empty, cpu, wall, Case::installed(peer, 0)];
    let cases = (&cases[..], turns.unwrap_or(20));
    let other_work = vec![1; OTHER_WORK];
    with_busy_drain(|| {
        compare("below 1 frame", cases, &[], |work| {
            below(1, work);
        });
        compare("below 30 frames of one function", cases, &[], |work| {
            below(30, work);
        });
        compare("below 32 functions", cases, &[], |work| {
            f1(1, work);
        });
        let stack = "below 32 functions, after other work";
        compare(stack, cases, &other_work, |work| {
            f1(1, work);
        });
    });
    drop(peers);
    profilers.into_iter().for_each(stop);
}
