//! Names of this test binary's own functions.

use std::hint::black_box;
use std::sync::Arc;

use super::Symbolizer;
use crate::limits;
use crate::mappings::{Module, Modules};
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

fn own_module_and_address() -> (Arc<Module>, u64) {
    let mut modules = Modules::default();
    modules.refresh(sys::pid(), &Tables::empty());
    let address = (a_function_with_a_name as fn(u64) -> u64 as *const ()).addr() as u64;
    let module = Arc::clone(modules.find(address).unwrap());
    let address = address - module.base;
    (module, address)
}

#[test]
fn file_that_was_replaced_by_another_build_lends_no_names() {
    let (module, address) = own_module_and_address();
    let loaded_before = Arc::new(Module {
        build_id: "00ff".to_owned(),
        ..Module::clone(&module)
    });
    let mut symbolizer = Symbolizer::default();
    assert_eq!(*symbolizer.resolve(&loaded_before, address), []);
    assert_ne!(*symbolizer.resolve(&module, address), []);
}

#[test]
fn file_is_kept_once_wherever_it_is_loaded() {
    let (module, address) = own_module_and_address();
    let mut symbolizer = Symbolizer::default();
    let functions = symbolizer.resolve(&module, address);
    let elsewhere = Arc::new(Module {
        start: module.start + 0x1000,
        base: module.base + 0x1000,
        ..Module::clone(&module)
    });
    assert_eq!(symbolizer.resolve(&elsewhere, address), functions);
    assert_eq!(symbolizer.files.len(), 1);
}

#[test]
fn files_that_are_kept_are_bounded() {
    let (module, address) = own_module_and_address();
    let mut symbolizer = Symbolizer::default();
    for number in 0..=limits::SYMBOL_FILES_MAX {
        let plugin = Arc::new(Module {
            file: Some(format!("/nonexistent/{number}.so").into()),
            ..Module::clone(&module)
        });
        symbolizer.resolve(&plugin, address);
        assert!(symbolizer.files.len() <= limits::SYMBOL_FILES_MAX);
    }
}
