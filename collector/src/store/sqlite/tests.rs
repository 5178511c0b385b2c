use std::ops::ControlFlow;

use super::*;
use crate::store::keys::{self, Series};
use crate::time::Hour;

fn key(name: &str) -> Key {
    let series = Series {
        tenant: "t".into(),
        service: "s".into(),
        types: "cpu".into(),
    };
    keys::delta(&series, Hour::from_number(1), name)
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, Options::default()).unwrap()
}

/// The file as another program opens it.
fn raw(folder: &Path) -> Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    Connection::open_with_flags(folder.join("flashlamp.db"), flags).unwrap()
}

fn put(store: &SqliteStore, name: &str, value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(key(name), value.to_vec());
    store.write(batch).unwrap().wait().unwrap();
}

fn names(store: &SqliteStore) -> Vec<String> {
    let mut names = Vec::new();
    let snapshot = store.snapshot().unwrap();
    snapshot
        .scan_keys(&keys::all_deltas(), &mut |key| {
            names.push(keys::read_delta(key).unwrap().2);
            ControlFlow::Continue(())
        })
        .unwrap();
    names
}

#[test]
fn a_batch_whose_condition_fails_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "a", b"1");

    let mut batch = Batch::new();
    batch.put(key("b"), b"2".to_vec());
    batch.put_if_absent(key("a"), b"3".to_vec());
    let refused = store.write(batch).unwrap().wait().unwrap_err();
    assert!(matches!(refused, WriteError::Present { value, .. } if value == b"1"));

    let mut batch = Batch::new();
    batch.delete_if_present(key("a"));
    batch.delete_if_present(key("c"));
    let refused = store.write(batch).unwrap().wait().unwrap_err();
    assert!(matches!(refused, WriteError::Absent { key: gone } if gone == key("c")));

    assert_eq!(names(&store), ["a"]);
}

#[test]
fn a_refused_batch_takes_nothing_of_its_group_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "taken", b"");
    let commits: Vec<_> = (0..200)
        .map(|number| {
            let mut batch = Batch::new();
            let name = if number % 2 == 0 {
                format!("n{number:03}")
            } else {
                "taken".to_owned()
            };
            batch.put_if_absent(key(&name), Vec::new());
            store.write(batch).unwrap()
        })
        .collect();
    let stored = commits
        .into_iter()
        .filter_map(|commit| commit.wait().ok())
        .count();
    assert_eq!((stored, names(&store).len()), (100, 101));
}

#[test]
fn a_snapshot_does_not_see_what_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "a", b"1");
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.get(&key("a")).unwrap().as_deref(), Some(&b"1"[..]));
    put(&store, "a", b"2");
    put(&store, "b", b"2");
    assert_eq!(snapshot.get(&key("a")).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(snapshot.get(&key("b")).unwrap(), None);
    drop(snapshot);
    assert_eq!(names(&store), ["a", "b"]);
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "a", b"1");
    store.close();
    let mut batch = Batch::new();
    batch.put(key("b"), Vec::new());
    assert!(matches!(store.write(batch), Err(WriteError::Closed)));
    drop(store);
    assert_eq!(names(&open(folder.path())), ["a"]);
}

#[test]
fn a_snapshot_sees_the_instant_in_which_it_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let before = store.snapshot().unwrap();
    put(&store, "a", b"1");
    let after = store.snapshot().unwrap();
    put(&store, "b", b"2");
    let sees = |snapshot: &dyn Snapshot| {
        ["a", "b"].map(|name| snapshot.get(&key(name)).unwrap().is_some())
    };
    assert_eq!(sees(&*before), [false, false]);
    assert_eq!(sees(&*after), [true, false]);
}

/// Writes a row, which must be refused because the data is gone, and is not there to be read.
fn is_gone(store: &SqliteStore) {
    let mut batch = Batch::new();
    batch.put(key("gone"), Vec::new());
    let refused = store.write(batch).unwrap().wait().unwrap_err();
    assert!(matches!(refused, WriteError::Gone), "{refused}");
    let refused = store.snapshot().err().unwrap();
    assert!(matches!(refused, ReadError::Gone), "{refused}");
}

#[test]
fn nothing_is_acknowledged_into_a_folder_that_was_deleted() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data");
    let store = open(&folder);
    put(&store, "a", b"1");
    std::fs::remove_dir_all(&folder).unwrap();
    is_gone(&store);
    std::fs::create_dir(&folder).unwrap();
    is_gone(&store);
    drop(store);
    assert!(names(&open(&folder)).is_empty());
}

#[test]
fn nothing_is_acknowledged_beside_a_backup_that_took_the_place_of_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let [folder, backup] = ["data", "backup"].map(|name| root.path().join(name));
    let other = open(&backup);
    put(&other, "b", b"1");
    drop(other);
    let store = open(&folder);
    put(&store, "a", b"1");
    let away = root.path().join("away");
    std::fs::rename(&folder, &away).unwrap();
    is_gone(&store);
    std::fs::rename(&backup, &folder).unwrap();
    is_gone(&store);
    drop(store);
    assert_eq!(names(&open(&folder)), ["b"], "the backup is untouched");
    assert_eq!(names(&open(&away)), ["a"], "what was acknowledged is there");
}

#[test]
fn a_folder_that_was_moved_and_is_back_takes_writes_again() {
    let root = tempfile::tempdir().unwrap();
    let [folder, away] = ["data", "away"].map(|name| root.path().join(name));
    let store = open(&folder);
    std::fs::rename(&folder, &away).unwrap();
    is_gone(&store);
    std::fs::rename(&away, &folder).unwrap();
    put(&store, "a", b"1");
    drop(store);
    assert_eq!(names(&open(&folder)), ["a"]);
}

#[test]
fn nothing_is_acknowledged_into_a_log_that_was_deleted() {
    for name in ["flashlamp.db", "flashlamp.db-wal", "flashlamp.db-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        put(&store, "a", b"1");
        let file = folder.path().join(name);
        std::fs::remove_file(&file).unwrap();
        is_gone(&store);
        std::fs::write(&file, b"").unwrap();
        is_gone(&store);
    }
}

#[test]
fn closing_writes_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let commits: Vec<_> = (0..100)
        .map(|number| {
            let mut batch = Batch::new();
            batch.put(key(&format!("{number:03}")), vec![0; 1_000]);
            store.write(batch).unwrap()
        })
        .collect();
    store.close();
    assert!(commits.into_iter().all(|commit| commit.wait().is_ok()));
    drop(store);
    assert_eq!(names(&open(folder.path())).len(), 100);
}

#[test]
fn the_writer_syncs_in_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (_lock, _path, connection) = open::folder(folder.path(), Options::default()).unwrap();
    let synchronous: i64 = connection
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .unwrap();
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!((synchronous, mode.as_str()), (2, "wal"), "2 is FULL");
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        page_count_max: Some(32),
    };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    let mut kept = Vec::new();
    for number in 0..100 {
        let name = format!("{number:03}");
        let mut batch = Batch::new();
        batch.put(key(&name), vec![7; 3_000]);
        match store.write(batch).unwrap().wait() {
            Ok(()) => kept.push(name),
            Err(error) => assert!(matches!(error, WriteError::Full), "{error}"),
        }
    }
    assert!(!kept.is_empty() && kept.len() < 100, "{} kept", kept.len());
    assert_eq!(names(&store), kept);
    drop(store);
    let store = open(folder.path());
    assert_eq!(names(&store), kept);
    put(&store, "later", &[7; 3_000]);
}

#[test]
fn a_large_batch_that_does_not_fit_takes_no_small_one_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        page_count_max: Some(32),
    };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    let commits: Vec<_> = [10, 1_000_000, 10]
        .into_iter()
        .enumerate()
        .map(|(number, bytes)| {
            let mut batch = Batch::new();
            batch.put(key(&number.to_string()), vec![7; bytes]);
            store.write(batch).unwrap()
        })
        .collect();
    let stored: Vec<bool> = commits
        .into_iter()
        .map(|commit| commit.wait().is_ok())
        .collect();
    assert_eq!(stored, [true, false, true]);
    assert_eq!(names(&store), ["0", "2"]);
}

#[test]
fn a_second_collector_is_kept_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let refused = SqliteStore::open(folder.path(), Options::default()).unwrap_err();
    let pid = std::process::id().to_string();
    assert!(matches!(&refused, OpenError::Lock(LockError::Held { holder }) if *holder == pid));
    drop(first);
    open(folder.path());
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    raw(folder.path())
        .pragma_update(None, "user_version", FORMAT_VERSION + 1)
        .unwrap();
    let refused = SqliteStore::open(folder.path(), Options::default()).unwrap_err();
    let (newer, known) = (FORMAT_VERSION + 1, FORMAT_VERSION);
    assert!(
        matches!(refused, OpenError::NewerFormat { found, supported } if found == newer && supported == known)
    );
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flashlamp.db");
    std::fs::write(
        &path,
        b"not a database, but long enough to have a header of some kind",
    )
    .unwrap();
    let refused = SqliteStore::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::NotAStore), "{refused:?}");

    std::fs::remove_file(&path).unwrap();
    let flags = rusqlite::OpenFlags::default();
    let raw = Connection::open_with_flags(&path, flags).unwrap();
    raw.execute_batch("CREATE TABLE theirs (id)").unwrap();
    drop(raw);
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteStore::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::NotAStore), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_with_our_name_and_tables_of_no_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    raw(folder.path())
        .pragma_update(None, "user_version", 0)
        .unwrap();
    let refused = SqliteStore::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::NotAStore), "{refused:?}");
}

#[test]
fn an_older_format_without_room_to_migrate_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flashlamp.db");
    drop(open(folder.path()));
    raw(folder.path())
        .pragma_update(None, "user_version", 1)
        .unwrap();
    // A file with a hole that no disk has room for thrice.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.set_len(8 << 40).unwrap();
    let refused = SqliteStore::open(folder.path(), Options::default()).unwrap_err();
    assert!(
        matches!(refused, OpenError::NoRoom { needed_bytes, free_bytes } if needed_bytes > free_bytes),
        "{refused:?}"
    );
    file.set_len(bytes).unwrap();
    let version: u32 = raw(folder.path())
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 1);
}

#[test]
fn readers_that_were_many_at_once_are_not_all_kept_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let snapshots: Vec<_> = (0..50).map(|_| store.snapshot().unwrap()).collect();
    drop(snapshots);
    assert_eq!(store.idle_readers().len(), limits::READS_MAX);
}

#[test]
fn a_queue_that_is_full_refuses_instead_of_growing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let big = limits::WRITE_QUEUE_BYTES_MAX;
    let mut commits = Vec::new();
    let mut refused = 0;
    for number in 0..6 {
        let mut batch = Batch::new();
        batch.put(key(&number.to_string()), vec![0; big / 2 + 1]);
        match store.write(batch) {
            Ok(commit) => commits.push(commit),
            Err(error) => {
                assert!(matches!(error, WriteError::Busy));
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "six halves of the bound came in at once");
    let stored = commits
        .into_iter()
        .filter(|_| true)
        .map(Commit::wait)
        .filter(Result::is_ok)
        .count();
    assert_eq!(stored + refused, 6);
    assert_eq!(store.queued_count(), 0);
}
