//! What one sample costs, beside rpprof in the same run: as the bench `sample_cost`.
//!
//! `cargo bench -p flashlamp --bench sample_cost_rpprof`.
#![expect(unsafe_code, reason = "installs handlers and raises signals")]
#![expect(clippy::print_stdout, reason = "its results")]
#![expect(clippy::disallowed_methods, reason = "spins by the clock")]

mod raised;
mod turns;

use crate::turns::compare_with;

fn main() {
    compare_with("rpprof 0.18", || {
        let peer = rpprof::ProfilerGuardBuilder::default().frequency(1);
        peer.build().expect("the peer starts")
    });
}
