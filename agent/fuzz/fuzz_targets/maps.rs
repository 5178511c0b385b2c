//! Any text is read as the map of a process, line by line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| flashlamp::fuzz_support::maps(text));
