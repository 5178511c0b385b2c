//! Any section gives tables in order, no larger than it allows, by which every walk ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| flashlamp::fuzz_support::eh_frame(input));
