//! What one sample costs, beside a peer in the same run: the cases take turns.
//!
//! Signals are raised below 1 and 30 frames of one function, and below 32 different functions,
//! for an empty handler, for ours and for the peer's; see `raised` and the bench `handler`. One
//! turn is 1,000 signals of each case, and its figure is the median signal; twenty turns make
//! 20,000. A case's net cost is what it takes more than the empty handler of the same turn.
//! Printed are the median and the quartiles of the turns. The last stack is measured once more with
//! 8 MB of other memory read before each signal: a service's sample finds the caches so.
//!
//! `cargo bench -p flashlamp --bench sample_cost`; a number after `--` sets the turns. The bench
//! `sample_cost_rpprof` has another peer: the two cannot be linked into one program.
#![expect(unsafe_code, reason = "installs handlers and raises signals")]
#![expect(clippy::print_stdout, reason = "its results")]
#![expect(clippy::disallowed_methods, reason = "spins by the clock")]

mod raised;
mod turns;

use crate::turns::compare_with;

fn main() {
    compare_with("pprof-rs 0.15", || {
        let peer = pprof::ProfilerGuardBuilder::default().frequency(1);
        peer.build().expect("the peer starts")
    });
}
