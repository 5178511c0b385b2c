//! What the fuzzers found interesting, replayed on every run.

use std::path::Path;

use crate::maps::check_text;
use crate::unwind::check_section;

fn replay(folder: &str, at_least: usize, check: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= at_least, "the corpus is there: {count} files");
}

#[test]
fn every_section_of_the_corpus_gives_tables_by_which_walks_end() {
    replay("eh_frame", 50, check_section);
}

#[test]
fn every_map_of_the_corpus_is_read() {
    replay("maps", 5, check_text);
}
