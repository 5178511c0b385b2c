//! What was read can be written in every format, and pprof reads back as it was.
#![no_main]

use flashlamp_profile::{CallTree, Column, Limits, by_function, decode, encode, merge};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { inflated_bytes_max: 1 << 20, ..Limits::default() };
    let Ok(profile) = decode::any(bytes, &limits) else {
        return;
    };
    let pprof = encode::pprof_uncompressed(&profile);
    let again = decode::pprof(&pprof, &Limits::TRUSTED).expect("our own file reads back");
    assert_eq!(encode::pprof_uncompressed(&again), pprof);
    let json = encode::speedscope(&profile);
    decode::speedscope(json.as_bytes(), &Limits::TRUSTED).expect("our own file reads back");
    for column in [Column::Events, Column::default_for(&profile)] {
        let folded = encode::folded(&profile, column);
        decode::folded(folded.as_bytes(), &Limits::TRUSTED).expect("our own text reads back");
        let total = profile.column_total(column);
        assert_eq!(CallTree::new(&profile, column).root().total(), total);
        assert_eq!(CallTree::reversed(&profile, column).root().total(), total);
        by_function(&profile, column);
    }
    merge([&profile, &again]).expect("equal types");
});
