//! The map's file and its names over time.

use std::os::unix::fs::symlink;

use super::file::MapFile;
use super::names::{JitMap, clean};
use super::{PerfMap, PerfMapError};

#[test]
fn names_fit_one_line_and_are_long_enough_for_perf() {
    for (name, expected) in [
        ("square", "square"),
        ("sum of squares", "sum of squares"),
        ("a\nb\0c\td", "a b c d"),
        ("", "___"),
        ("f", "f__"),
        ("\n\n", "___"),
        ("größe", "größe"),
    ] {
        assert_eq!(clean(name), expected);
    }
    assert!(clean(&"ä".repeat(10_000)).len() <= 4096);
}

#[test]
fn lines_are_hex_without_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perf-1.map");
    let mut file = MapFile::create(&path).unwrap();
    file.write(0xdead_0000, 0x40, "sum of squares");
    file.write(0x10, 0x1, "f__");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "dead0000 40 sum of squares\n10 1 f__\n"
    );
    assert_eq!(file.failures(), 0);
}

#[test]
fn file_of_a_dead_process_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perf-1.map");
    std::fs::write(&path, "1 2 old\n").unwrap();
    let mut file = MapFile::create(&path).unwrap();
    file.write(1, 2, "new");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1 2 new\n");
}

#[test]
fn link_is_refused_and_its_target_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    let path = folder.path().join("perf-1.map");
    symlink(&target, &path).unwrap();
    assert!(matches!(
        MapFile::create(&path),
        Err(PerfMapError::NotOurs { .. })
    ));
    std::fs::remove_file(&path).unwrap();
    symlink(folder.path().join("absent"), &path).unwrap();
    assert!(matches!(
        MapFile::create(&path),
        Err(PerfMapError::NotOurs { .. })
    ));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn name_holds_for_the_time_of_its_registration() {
    let mut map = JitMap::default();
    let first = map.insert(0x1000, 0x100, "first".into(), 10);
    map.remove(0x1000, first, 20);
    map.insert(0x1000, 0x80, "second".into(), 30);
    let name = |address, time| map.name_at(address, time).map(|name| name.to_string());
    assert_eq!(name(0x1010, 5), None);
    assert_eq!(name(0x1010, 15).as_deref(), Some("first"));
    assert_eq!(name(0x10ff, 15).as_deref(), Some("first"));
    assert_eq!(name(0x1100, 15), None);
    assert_eq!(name(0x1010, 25), None);
    assert_eq!(name(0x1010, 35).as_deref(), Some("second"));
    assert_eq!(name(0x1090, 35), None);
    assert_eq!(name(0xfff, 35), None);
    map.forget_before(40);
    assert_eq!(map.name_at(0x1010, 15), None);
    assert!(map.name_at(0x1010, 35).is_some());
}

#[test]
fn maps_of_one_process_share_one_file() {
    let one = PerfMap::create().unwrap();
    let two = PerfMap::create().unwrap();
    assert_eq!(one.path(), two.path());
    let _first = one.register(0x7000_0000, 16, "registered through one");
    let _second = two.register(0x7000_1000, 16, "registered through two");
    let text = std::fs::read_to_string(one.path()).unwrap();
    assert!(
        text.contains("70000000 10 registered through one\n"),
        "{text}"
    );
    assert!(
        text.contains("70001000 10 registered through two\n"),
        "{text}"
    );
    std::fs::remove_file(one.path()).unwrap();
}
