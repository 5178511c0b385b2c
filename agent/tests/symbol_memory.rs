//! Naming takes little memory of the host, and keeps less: counted by the allocator, so that the
//! bounds hold on any machine.
#![cfg(test)]

use std::path::Path;

use flashlamp::bench_support::Symbols;
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// An address in each function of the file.
fn addresses(path: &Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let code = |symbol: &object::Symbol<'_, '_>| symbol.kind() == SymbolKind::Text;
    let symbols = file.symbols().filter(|one| code(one) && one.size() > 0);
    symbols.map(|one| one.address() + one.size() / 2).collect()
}

#[test]
fn naming_all_of_a_large_program_stays_far_below_its_size() {
    let program = Path::new("/proc/self/exe");
    let addresses = addresses(program);
    let file_bytes = usize::try_from(std::fs::metadata(program).unwrap().len()).unwrap();
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let mut symbols = Symbols::of(program);
    let mut found = 0;
    for window in addresses.chunks(10_000) {
        found += symbols.resolve(window);
    }
    let peak = HEAP.peak_usage().saturating_sub(before);
    let kept = HEAP.current_usage().saturating_sub(before);
    let all = format!(
        "{} addresses of {file_bytes} bytes: peak {peak}, kept {kept}",
        addresses.len()
    );
    assert!(found >= addresses.len() / 2, "names were found; {all}");
    // Every function of it, as no service samples them: the names are most of what is left.
    assert!(peak < 32 << 20, "{all}");
    assert!(kept < 26 << 20, "{all}");
    println!("{all}");
    drop(symbols);
    let left = HEAP.current_usage().saturating_sub(before);
    assert!(left < 1 << 20, "{left} bytes are left");
}
