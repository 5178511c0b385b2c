//! A collector that is asked to stop loses nothing that it acknowledged, and ends in peace.

use anyhow::Result;
use harness::collector::Collector;
use harness::senders::{Senders, check_books, last_hour};
use harness::wait;

#[test]
fn a_collector_stopped_under_load_has_kept_every_acknowledged_window() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hour = last_hour();
    let mut collector = Collector::on(folder.path(), "127.0.0.1:0")?;
    let senders = Senders::start(&collector, 4, hour, 0);
    wait::until("windows are acknowledged", wait::SOON, || {
        (senders.acknowledged_count() >= 100).then_some(())
    })?;
    collector.stop()?;
    let ledger = senders.finish();
    let collector = Collector::on(folder.path(), "127.0.0.1:0")?;
    check_books(&collector, &ledger, hour)
}

#[test]
fn a_second_collector_on_the_same_data_is_a_clear_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let _first = Collector::on(folder.path(), "127.0.0.1:0")?;
    let second = Collector::on(folder.path(), "127.0.0.1:0");
    let error = format!("{:#}", second.expect_err("two writers on one store"));
    assert!(
        error.contains(&folder.path().display().to_string()),
        "it names the folder: {error}"
    );
    Ok(())
}
