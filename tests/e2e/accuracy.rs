//! Known loads are measured as what they are, within what chance allows.

use std::time::Duration;

use anyhow::{Result, ensure};
use flashlamp::{Clock, Log, Profiler, Threads};
use harness::folded::{self, Stacks};
use harness::load;

/// How many standard deviations of a binomial draw a share may be off: chance goes past five
/// once in two million runs.
const DEVIATIONS: f64 = 5.0;

/// What a share may be off beyond chance: the tick of the kernel's clock delays the signal to
/// the function that runs next.
const SLACK: f64 = 0.02;

/// Burns at least `cpu` in two functions in changing pieces, seven parts to three; gives what
/// each really used.
fn seventy_thirty(cpu: Duration) -> (Duration, Duration) {
    let (mut seventy, mut thirty) = (Duration::ZERO, Duration::ZERO);
    let mut state = 12_345_u64;
    while seventy + thirty < cpu {
        // Pieces of changing length cannot fall into step with the sampling period.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let unit = Duration::from_micros(500 + (state >> 33) % 3_000);
        seventy += load::seventy_of_a_hundred(unit * 7);
        thirty += load::thirty_of_a_hundred(unit * 3);
    }
    (seventy, thirty)
}

/// Checks that the share of `part` in `whole` samples is `expected` within chance.
fn check_share(what: &str, part: u64, whole: u64, independent: u64, expected: f64) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (share, n) = (part as f64 / whole as f64, independent as f64);
    let bound = DEVIATIONS * (expected * (1.0 - expected) / n).sqrt() + SLACK;
    ensure!(
        (share - expected).abs() <= bound,
        "{what}: measured {share:.3}, truth {expected:.3}, bound {bound:.3}, {independent} samples"
    );
    Ok(())
}

fn check_split(clock: Clock) -> Result<()> {
    let profiler = Profiler::builder()
        .clock(clock)
        .period(Duration::from_millis(1))
        .threads(Threads::Current)
        .start()?;
    let (seventy, thirty) = seventy_thirty(Duration::from_secs(3));
    let log: Log = profiler.stop();
    let stacks: Stacks = folded::sum(&log.folded());
    let of_seventy = folded::total_with(&stacks, "seventy_of_a_hundred");
    let of_thirty = folded::total_with(&stacks, "thirty_of_a_hundred");
    let whole = of_seventy + of_thirty;
    let truth = seventy.as_secs_f64() / (seventy + thirty).as_secs_f64();
    let independent = u64::try_from(log.len())?;
    ensure!(independent > 200, "three seconds give more than {independent} samples");
    check_share("the larger part", of_seventy, whole, independent, truth)?;
    let all = folded::total(&stacks);
    ensure!(whole * 100 >= all * 95, "{whole} of {all} events are in the two functions");
    Ok(())
}

#[test]
fn a_seventy_thirty_split_of_processor_time_is_measured_as_one() -> Result<()> {
    check_split(Clock::Cpu)
}

#[test]
fn a_seventy_thirty_split_of_a_busy_thread_is_the_same_on_the_wall_clock() -> Result<()> {
    check_split(Clock::Wall)
}

#[test]
fn event_counts_times_the_period_are_the_processor_time_used() -> Result<()> {
    let period = Duration::from_millis(1);
    let profiler = Profiler::builder()
        .clock(Clock::Cpu)
        .period(period)
        .threads(Threads::Current)
        .start()?;
    let started = load::thread_cpu();
    let (seventy, thirty) = seventy_thirty(Duration::from_secs(2));
    let used = load::thread_cpu().saturating_sub(started);
    let log = profiler.stop();
    let lost: u64 = log.losses().values().map(|tally| tally.events).sum();
    let events = log.event_count().as_u64() + lost;
    let measured = period * u32::try_from(events)?;
    let ratio = measured.as_secs_f64() / used.as_secs_f64();
    ensure!(
        (0.95..1.05).contains(&ratio),
        "{measured:?} measured, {used:?} used, of it {:?} in the two functions",
        seventy + thirty
    );
    Ok(())
}
