//! Known loads are measured as what they are, within what chance allows.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::routing::get;
use flashlamp::{Agent, Clock, Log, Profiler, Threads};
use harness::collector::Collector;
use harness::folded::{self, Stacks};
use harness::{clock, http, load, wait};

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
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
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
        "{what}: measured {share:.3}, truth {expected:.3}, bound {bound:.3}, {independent} looks"
    );
    Ok(())
}

/// How many looks tell enough about a share, and how often at most three seconds are spent on them:
/// on an idle machine these give 700.
const LOOKS_ENOUGH: u64 = 300;
const ROUNDS_MAX: usize = 5;

/// Fewer tell nothing at all.
const LOOKS_MIN: u64 = 30;

/// How many looks there were that are as good as independent, by the sum of what they stand for and
/// the sum of its squares. On a busy machine the kernel puts several periods into one signal, and
/// one that stands for many brings more chance with it than many that stand for one (L. Kish, Survey
/// Sampling, 1965).
fn looks(sum: u64, squares: u64) -> u64 {
    sum * sum / squares.max(1)
}

fn check_split(clock: Clock) -> Result<()> {
    let (mut seventy, mut thirty) = (Duration::ZERO, Duration::ZERO);
    let (mut stacks, mut sum, mut squares) = (Stacks::new(), 0, 0);
    for _ in 0..ROUNDS_MAX {
        let profiler = Profiler::builder()
            .clock(clock)
            .period(Duration::from_millis(1))
            .threads(Threads::Current)
            .start()?;
        let used = seventy_thirty(Duration::from_secs(3));
        let log: Log = profiler.stop();
        seventy += used.0;
        thirty += used.1;
        for (stack, count) in folded::sum(&log.folded()) {
            *stacks.entry(stack).or_default() += count;
        }
        for entry in &log {
            let events = entry.event_count().as_u64();
            sum += events;
            squares += events * events;
        }
        if looks(sum, squares) >= LOOKS_ENOUGH {
            break;
        }
    }
    let of_seventy = folded::total_with(&stacks, "seventy_of_a_hundred");
    let of_thirty = folded::total_with(&stacks, "thirty_of_a_hundred");
    let whole = of_seventy + of_thirty;
    let truth = seventy.as_secs_f64() / (seventy + thirty).as_secs_f64();
    let independent = looks(sum, squares);
    ensure!(independent >= LOOKS_MIN, "only {independent} looks");
    check_share("the larger part", of_seventy, whole, independent, truth)?;
    let all = folded::total(&stacks);
    ensure!(
        whole * 100 >= all * 95,
        "{whole} of {all} events are in the two functions"
    );
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

/// Serves two routes that burn their shares, on a free port.
fn serve(agent: &Agent) -> Result<(tokio::runtime::Runtime, String)> {
    let unit = Duration::from_millis(5);
    let burn = |work: fn(Duration) -> Duration, cpu: Duration| {
        get(move || async move {
            let used = work(cpu);
            format!("{used:?}")
        })
    };
    let app = Router::new()
        .route("/large", burn(load::seventy_of_a_hundred, unit * 7))
        .route("/small/{id}", burn(load::thirty_of_a_hundred, unit * 3))
        .layer(agent.request_layer());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let _serving = runtime.spawn(async move { axum::serve(listener, app).await });
    Ok((runtime, url))
}

#[test]
fn continuous_samples_carry_the_entry_point_of_the_request_they_served() -> Result<()> {
    let collector = Collector::start()?;
    let agent = Agent::builder()
        .service("entries")
        .collector(collector.url(""))
        .period(Duration::from_millis(1))
        .start()?;
    let since = clock::unix_seconds();
    let (runtime, url) = serve(&agent)?;
    for request in 0..60 {
        ensure!(
            http::get(&format!("{url}/large"))?.status == 200,
            "the large route answers"
        );
        let small = format!("{url}/small/{request}");
        ensure!(http::get(&small)?.status == 200, "the small route answers");
    }
    ensure!(agent.flush(wait::SOON), "{:?}", agent.stats());
    drop(runtime);

    let services = collector.get("/api/v1/services")?.text();
    let stacks_of = |part: &str| -> Result<Stacks> {
        let entry = services.split('"').find(|text| text.contains(part));
        let entry = entry.with_context(|| services.clone())?;
        let entry = entry
            .replace(' ', "%20")
            .replace('{', "%7B")
            .replace('}', "%7D");
        let path =
            format!("/api/v1/flamegraph?service=entries&entry={entry}&from={since}&format=folded");
        Ok(folded::sum(&collector.text(&path)?))
    };
    ensure!(
        !services.contains("/small/17"),
        "the entry is the route, not the path: {services}"
    );
    let (large, small) = (stacks_of("/large")?, stacks_of("/small")?);
    let (seventy, thirty) = ("seventy_of_a_hundred", "thirty_of_a_hundred");
    ensure!(
        folded::total_with(&large, thirty) == 0,
        "nothing of the small route in the large"
    );
    ensure!(
        folded::total_with(&small, seventy) == 0,
        "nothing of the large route in the small"
    );
    let (of_large, of_small) = (
        folded::total_with(&large, seventy),
        folded::total_with(&small, thirty),
    );
    // What each sample stood for is summed here: half as many looks is what a busy machine gave.
    let looks = agent.stats().stored.samples / 2;
    let whole = of_large + of_small;
    check_share("the large route", of_large, whole, looks, 0.7)
}
