//! Names of this test binary's own functions.

use std::hint::black_box;
use std::sync::Arc;

use super::Symbolizer;
use crate::mappings::Modules;
use crate::sys;
use crate::unwind::Tables;

#[inline(never)]
fn a_function_with_a_name(value: u64) -> u64 {
    black_box(value).wrapping_mul(3)
}

#[test]
fn own_function_has_its_name_file_and_line() {
    let mut modules = Modules::default();
    modules.refresh(sys::pid(), &Tables::empty());
    let address = (a_function_with_a_name as fn(u64) -> u64 as *const ()).addr() as u64;
    let module = Arc::clone(modules.find(address).unwrap());
    let mut symbolizer = Symbolizer::default();
    let functions = symbolizer.resolve(&module, address - module.base);
    let code = functions.last().unwrap();
    assert_eq!(
        code.name,
        "flashlamp::symbolize::tests::a_function_with_a_name"
    );
    assert!(
        code.file
            .as_deref()
            .unwrap()
            .ends_with("symbolize/tests.rs"),
        "{code:?}"
    );
    assert!(code.line > 0);
    assert_eq!(
        symbolizer.resolve(&module, address - module.base),
        functions,
        "from the cache"
    );
}

#[test]
fn address_outside_of_every_function_has_no_name() {
    let mut modules = Modules::default();
    modules.refresh(sys::pid(), &Tables::empty());
    let address = (a_function_with_a_name as fn(u64) -> u64 as *const ()).addr() as u64;
    let module = Arc::clone(modules.find(address).unwrap());
    let past_the_end = module.end - module.base;
    assert_eq!(*Symbolizer::default().resolve(&module, past_the_end), []);
}

#[test]
fn vdso_has_names_although_it_is_no_file() {
    let mut modules = Modules::default();
    modules.refresh(sys::pid(), &Tables::empty());
    let Some(vdso) = modules.iter().find(|module| module.path == "[vdso]") else {
        println!("skipped: this kernel has no vDSO");
        return;
    };
    let mut symbolizer = Symbolizer::default();
    let names: Vec<String> = (vdso.start..vdso.end)
        .step_by(16)
        .flat_map(|address| symbolizer.resolve(vdso, address - vdso.base).to_vec())
        .map(|function| function.name)
        .collect();
    assert!(
        names.iter().any(|name| name.contains("clock_gettime")),
        "{names:?}"
    );
}
