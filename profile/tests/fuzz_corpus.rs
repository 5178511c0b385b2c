//! What the fuzzers found interesting, replayed on every run.
#![expect(clippy::tests_outside_test_module, reason = "the whole file is a test")]

use std::path::Path;

use flashlamp_profile::{CallTree, Column, Limits, decode, encode};

#[test]
fn every_corpus_file_is_read_or_refused_and_reads_back() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files = 0;
    let mut read = 0;
    for folder in ["decode_any", "round_trip"] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            files += 1;
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let limits = Limits {
                inflated_bytes_max: 1 << 20,
                ..Limits::default()
            };
            let _ = decode::pprof(&bytes, &limits);
            let _ = decode::speedscope(&bytes, &limits);
            let _ = decode::folded(&bytes, &limits);
            let Ok(profile) = decode::any(&bytes, &limits) else {
                continue;
            };
            read += 1;
            let pprof = encode::pprof_uncompressed(&profile);
            let again = decode::pprof(&pprof, &Limits::TRUSTED).unwrap();
            assert_eq!(encode::pprof_uncompressed(&again), pprof);
            let json = encode::speedscope(&profile);
            decode::speedscope(json.as_bytes(), &Limits::TRUSTED).unwrap();
            let total = profile.column_total(Column::Events);
            assert_eq!(
                CallTree::reversed(&profile, Column::Events).root().total(),
                total
            );
        }
    }
    assert!(
        files >= 10 && read >= 3,
        "the corpus is there: {files} files, {read} read"
    );
}
