//! What naming costs the host: memory and time, for one large program.
//!
//! `cargo bench -p flashlamp --bench symbols -- PATH` names addresses all over the object file at
//! PATH (this program's own file without it), window by window as a service does, and prints the
//! growth of the heap (as the allocator is asked) and of the resident memory (as the kernel sees
//! it).
#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::path::PathBuf;
use std::time::Instant;

use flashlamp::bench_support::Symbols;
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// New addresses of one window.
const WINDOW_ADDRESSES: usize = 1000;
const WINDOWS: usize = 20;

fn mb(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kb.unwrap_or(0) << 10
}

/// Addresses in functions all over the file, in an order without order.
fn addresses(path: &PathBuf) -> Vec<u64> {
    let bytes = std::fs::read(path).expect("the file can be read");
    let file = object::File::parse(&*bytes).expect("an object file");
    let text = |symbol: &object::Symbol<'_, '_>| symbol.kind() == SymbolKind::Text;
    let mut all: Vec<u64> = file
        .symbols()
        .filter(|symbol| text(symbol) && symbol.size() > 0)
        .map(|symbol| symbol.address() + symbol.size() / 2)
        .collect();
    all.sort_unstable();
    all.dedup();
    let count = all.len();
    // A stride without a common divisor visits every address.
    (0..count)
        .map(|index| all[index.wrapping_mul(7919) % count])
        .take(WINDOW_ADDRESSES * WINDOWS)
        .collect()
}

fn main() {
    let path = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let path = path.map_or_else(|| PathBuf::from("/proc/self/exe"), PathBuf::from);
    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    let addresses = addresses(&path);
    // Only what is resident now counts from here (proc_pid_clear_refs(5)).
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    HEAP.reset_peak_usage();
    let (heap, resident) = (HEAP.current_usage(), status("VmRSS"));
    println!(
        "{} MB of file, {} addresses, {WINDOW_ADDRESSES} a window",
        size >> 20,
        addresses.len()
    );
    let mut symbols = Symbols::of(&path);
    for (number, window) in addresses.chunks(WINDOW_ADDRESSES).enumerate() {
        let began = Instant::now();
        let found = symbols.resolve(window);
        let took = began.elapsed();
        if number < 3 || (number + 1) % 5 == 0 {
            println!(
                "window {:>2}: {found} functions, {:.0} us an address; heap +{:.1} MB, peak +{:.1}",
                number + 1,
                took.as_secs_f64() * 1e6 / window.len() as f64,
                mb(HEAP.current_usage().saturating_sub(heap)),
                mb(HEAP.peak_usage().saturating_sub(heap)),
            );
        }
    }
    println!(
        "resident: +{:.1} MB, peak +{:.1} MB",
        mb(status("VmRSS").saturating_sub(resident)),
        mb(status("VmHWM").saturating_sub(resident)),
    );
}
