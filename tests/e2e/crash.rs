//! A collector that is killed in the middle of its work has kept what it acknowledged.

use anyhow::Result;
use harness::collector::Collector;
use harness::senders::{Ledger, Senders, check_books, last_hour};
use harness::wait;

/// How many windows are acknowledged before each kill.
const ACKNOWLEDGED_BEFORE: usize = 150;

#[test]
fn a_killed_collector_has_kept_every_acknowledged_window_and_none_twice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut books = Ledger::default();
    let hour = last_hour();
    for round in 0..3 {
        let mut collector = Collector::on(folder.path(), "127.0.0.1:0")?;
        let senders = Senders::start(&collector, 4, hour, round * 100_000);
        wait::until("windows are acknowledged", wait::SOON, || {
            (senders.acknowledged_count() >= ACKNOWLEDGED_BEFORE).then_some(())
        })?;
        collector.kill()?;
        let ledger = senders.finish();
        assert!(
            !ledger.open.is_empty(),
            "the kill came while windows were under way"
        );
        books.acknowledged.extend(ledger.acknowledged);
        books.open.extend(ledger.open);
    }
    let collector = Collector::on(folder.path(), "127.0.0.1:0")?;
    check_books(&collector, &books, hour)
}
