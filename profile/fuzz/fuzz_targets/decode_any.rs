//! Every decoder takes any bytes: it reads them or refuses them, within its limits.
#![no_main]

use flashlamp_profile::{Limits, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        inflated_bytes_max: 1 << 20,
        samples_max: 10_000,
        stack_depth_max: 512,
        stack_nodes_max: 50_000,
        ..Limits::default()
    };
    let _ = decode::any(bytes, &limits);
    let _ = decode::pprof(bytes, &limits);
    let _ = decode::speedscope(bytes, &limits);
    let _ = decode::folded(bytes, &limits);
});
