//! From the agent through the collector to the page no sample is lost uncounted:
//! `taken = stored + lost + in flight`, also when the collector refuses, falls silent, or dies.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flashlamp::{Agent, Stats};
use flashlamp_profile::{Tally, losses};
use harness::collector::Collector;
use harness::proxy::{Fault, Proxy};
use harness::{clock, http, load, wait};

const SERVICE: &str = "round-trip";

/// Starts an agent that samples this process often.
fn agent(collector: &str) -> Result<Agent> {
    let period = Duration::from_millis(1);
    Ok(Agent::builder()
        .service(SERVICE)
        .collector(collector)
        .period(period)
        .start()?)
}

/// Gives the agent something to take.
fn work() {
    let _ = load::seventy_of_a_hundred(Duration::from_millis(200));
    let _ = load::thirty_of_a_hundred(Duration::from_millis(100));
}

/// What the pages of the days say, in event counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    taken: Tally,
    stored: Tally,
    lost: Tally,
}

impl Shown {
    /// Reads the pages of the days from `since` to now.
    fn on(collector: &Collector, since: u64) -> Result<Self> {
        let days: BTreeSet<String> = [since, clock::unix_seconds()].map(clock::date).into();
        let mut shown = Self::default();
        for day in days {
            let url = collector.url(&format!("/day/{day}/{SERVICE}"));
            let page = http::fetch(&url, &[("accept", "text/html")])?;
            if page.status == 404 {
                continue;
            }
            let text = page.text();
            shown.taken += tally(&text, "taken")?;
            shown.stored += tally(&text, "stored")?;
            shown.lost += tally(&text, "lost")?;
        }
        Ok(shown)
    }
}

/// The numbers behind the page's words.
fn tally(page: &str, word: &str) -> Result<Tally> {
    let number = |attribute: String| -> Result<u64> {
        let rest = page
            .split_once(&attribute)
            .with_context(|| attribute.clone())?
            .1;
        Ok(rest.split('"').next().unwrap_or_default().parse()?)
    };
    Ok(Tally {
        samples: number(format!("data-{word}=\""))?,
        events: number(format!("data-{word}-events=\""))?,
    })
}

fn check_balance(stats: &Stats) -> Result<()> {
    let booked = stats.stored + stats.lost_total() + stats.in_flight;
    ensure!(
        stats.taken == booked,
        "taken = stored + lost + in flight: {stats:?}"
    );
    ensure!(stats.taken.samples > 0, "something was taken: {stats:?}");
    Ok(())
}

/// Checks that the collector holds and shows what the agent says it stored and lost, the losses
/// up to `untold`: those that the agent counted after its last window.
fn check_page(collector: &Collector, since: u64, stats: &Stats, untold: Tally) -> Result<()> {
    let shown = Shown::on(collector, since)?;
    let lost = stats.lost_total();
    let told = Tally {
        samples: lost.samples - untold.samples,
        events: lost.events - untold.events,
    };
    let expected = Shown {
        taken: stats.stored + told,
        stored: stats.stored,
        lost: told,
    };
    ensure!(
        shown == expected,
        "the page shows {shown:?}, the agent says {stats:?}"
    );
    let counted = collector.metric("flashlamp_samples_stored_total", "")?;
    ensure!(
        counted == stats.stored.samples,
        "metrics count {counted}, the agent says {stats:?}"
    );
    Ok(())
}

#[test]
fn everything_taken_is_stored_and_shown_when_nothing_goes_wrong() -> Result<()> {
    let since = clock::unix_seconds();
    let collector = Collector::start()?;
    let agent = agent(&collector.url(""))?;
    for _ in 0..5 {
        work();
        check_balance(&agent.stats())?;
    }
    ensure!(agent.flush(wait::SOON), "{:?}", agent.stats());
    let stats = agent.shutdown(wait::SOON);
    check_balance(&stats)?;
    ensure!(
        stats.in_flight == Tally::default(),
        "nothing is under way: {stats:?}"
    );
    check_page(&collector, since, &stats, Tally::default())
}

#[test]
fn a_window_whose_answer_was_lost_is_sent_again_and_counted_once() -> Result<()> {
    let since = clock::unix_seconds();
    let collector = Collector::start()?;
    let proxy = Proxy::start(collector.url(""))?;
    proxy.plan(Fault::LoseAnswer);
    proxy.plan(Fault::Hang);
    let agent = agent(&proxy.url())?;
    work();
    ensure!(agent.flush(wait::SOON), "{:?}", agent.stats());
    ensure!(proxy.planned() == 0, "the faults happened");
    let repeats = collector.metric("flashlamp_repeats_total", "")?;
    ensure!(repeats >= 1, "the collector saw the window again");
    let stats = agent.shutdown(wait::SOON);
    check_balance(&stats)?;
    check_page(&collector, since, &stats, Tally::default())
}

#[test]
fn a_refused_window_is_a_loss_that_the_next_window_tells_the_page() -> Result<()> {
    let since = clock::unix_seconds();
    let collector = Collector::start()?;
    let proxy = Proxy::start(collector.url(""))?;
    let agent = agent(&proxy.url())?;
    proxy.plan(Fault::Refuse(400));
    work();
    ensure!(agent.flush(wait::SOON), "{:?}", agent.stats());
    ensure!(proxy.planned() == 0, "the refusal happened");
    let refused = agent.stats().lost.get(losses::COLLECTOR_REFUSED).copied();
    let refused = refused.with_context(|| format!("{:?}", agent.stats()))?;
    ensure!(refused.samples > 0, "{refused:?}");
    work();
    ensure!(agent.flush(wait::SOON), "{:?}", agent.stats());
    let stats = agent.shutdown(wait::SOON);
    check_balance(&stats)?;
    check_page(&collector, since, &stats, Tally::default())?;
    let reason = format!("reason=\"{}\"", losses::COLLECTOR_REFUSED);
    let counted = collector.metric("flashlamp_samples_lost_total", &reason)?;
    ensure!(
        counted == refused.samples,
        "metrics count {counted}, the agent says {refused:?}"
    );
    Ok(())
}

#[test]
fn a_collector_that_dies_and_comes_back_is_told_all() -> Result<()> {
    let since = clock::unix_seconds();
    let folder = tempfile::tempdir()?;
    let mut first = Collector::on(folder.path(), "127.0.0.1:0")?;
    let proxy = Proxy::start(first.url(""))?;
    let agent = agent(&proxy.url())?;
    work();
    ensure!(agent.flush(wait::SOON), "{:?}", agent.stats());
    let before = agent.stats().stored.samples;
    ensure!(before > 0, "the first windows are stored");
    first.kill()?;
    work();
    ensure!(
        !agent.flush(Duration::from_millis(500)),
        "nobody is there to store it"
    );
    check_balance(&agent.stats())?;

    let second = Collector::on(folder.path(), "127.0.0.1:0")?;
    proxy.aim_at(second.url(""));
    work();
    ensure!(agent.flush(2 * wait::SOON), "{:?}", agent.stats());
    let stats = agent.shutdown(wait::SOON);
    check_balance(&stats)?;
    ensure!(
        stats.in_flight == Tally::default(),
        "nothing is under way: {stats:?}"
    );
    let shown = Shown::on(&second, since)?;
    ensure!(
        shown.stored == stats.stored,
        "the page shows {shown:?}, the agent says {stats:?}"
    );
    ensure!(
        shown.taken == stats.taken,
        "the page shows {shown:?}, the agent says {stats:?}"
    );
    Ok(())
}

#[test]
fn what_could_not_be_delivered_at_the_end_is_lost_and_counted() -> Result<()> {
    let mut collector = Collector::start()?;
    let agent = agent(&collector.url(""))?;
    collector.kill()?;
    work();
    let stats = agent.shutdown(Duration::from_millis(300));
    check_balance(&stats)?;
    ensure!(
        stats.in_flight == Tally::default(),
        "nothing is left in flight: {stats:?}"
    );
    ensure!(
        stats.stored == Tally::default(),
        "nobody stored anything: {stats:?}"
    );
    Ok(())
}
