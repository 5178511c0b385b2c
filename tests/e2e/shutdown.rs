//! A collector that is asked to stop loses nothing that it acknowledged, and ends in peace.

use std::path::Path;

use anyhow::Result;
use harness::collector::Collector;
use harness::senders::{Senders, check_books, last_hour};
use harness::wait;
use rusqlite::{Connection, OpenFlags};

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

/// A collector whose writes wait for a transaction of another program, and those who send them.
fn held_up(folder: &Path) -> Result<(Collector, Connection, Senders)> {
    let collector = Collector::on(folder, "127.0.0.1:0")?;
    let file = folder.join("flashlamp.db");
    let other = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    let senders = Senders::start(&collector, 20, last_hour(), 0);
    wait::until("windows wait for the lock", wait::SOON, || {
        let waiting = collector.metric("flashlamp_write_queue_batches", "").ok()?;
        (waiting >= 10).then_some(())
    })?;
    Ok((collector, other, senders))
}

#[test]
fn another_programs_lock_holds_up_no_stop() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut collector, lock, senders) = held_up(folder.path())?;
    collector.stop()?;
    assert_eq!(senders.finish().acknowledged.len(), 0);
    drop(lock);
    Ok(())
}

#[test]
fn a_second_signal_stops_at_once_whatever_the_first_one_waits_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut collector, lock, senders) = held_up(folder.path())?;
    let status = collector.stop_at_once()?;
    let output = collector.process().output();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("by a second signal"), "{output}");
    assert_eq!(senders.finish().acknowledged.len(), 0);
    drop(lock);
    Ok(())
}
