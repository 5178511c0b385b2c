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

#[test]
fn file_that_is_truncated_while_it_is_read_costs_names_and_not_the_host() {
    let (module, address) = own_module_and_address();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    std::fs::copy("/proc/self/exe", &copy).unwrap();
    let module = Arc::new(Module {
        file: Some(copy.clone()),
        ..Module::clone(&module)
    });
    let mut symbolizer = Symbolizer::default();
    let before = symbolizer.resolve(&module, address);
    assert!(before[0].line > 0, "{before:?}");
    let file = std::fs::File::options().write(true).open(&copy).unwrap();
    file.set_len(4096).unwrap();
    // Far apart, so that they need units and lines that were not read before.
    for offset in (0..module.text_end - module.text_start).step_by(20_000) {
        symbolizer.resolve(&module, module.text_start - module.base + offset);
    }
    assert_eq!(symbolizer.resolve(&module, address), before);
}

/// A program of one function, built with split debug information; where it is, and the
/// function's address.
fn split_program(folder: &std::path::Path, split: &str) -> (std::path::PathBuf, u64) {
    use object::{Object as _, ObjectSymbol as _};
    let source = folder.join("program.rs");
    let text = "
        #[inline(always)]
        fn an_inlined_one(n: u64) -> u64 { std::hint::black_box(n) * 3 }
        #[unsafe(no_mangle)]
        pub extern \"C\" fn a_split_function(n: u64) -> u64 { an_inlined_one(n) + 1 }
        fn main() { a_split_function(1); }";
    std::fs::write(&source, text).unwrap();
    let program = folder.join("program");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = std::process::Command::new(compiler)
        .current_dir(folder)
        .args([
            "-g",
            "--edition=2024",
            "-C",
            &format!("split-debuginfo={split}"),
        ])
        .args(["-o", "program", "program.rs"])
        .status()
        .unwrap();
    assert!(built.success(), "{built}");
    let bytes = std::fs::read(&program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let mut symbols = file.symbols();
    let symbol = symbols.find(|one| one.name() == Ok("a_split_function"));
    (program, symbol.unwrap().address())
}

#[test]
fn split_debug_information_is_found_beside_the_program() {
    for (split, extension) in [("packed", "dwp"), ("unpacked", "dwo")] {
        let folder = tempfile::tempdir().unwrap();
        let (program, address) = split_program(folder.path(), split);
        let (own, _) = own_module_and_address();
        let module = Arc::new(Module {
            path: program.to_str().unwrap().to_owned(),
            file: Some(program),
            build_id: String::new(),
            ..Module::clone(&own)
        });
        let functions = Symbolizer::default().resolve(&module, address);
        let code = functions.last().unwrap();
        assert_eq!(code.name, "a_split_function");
        let file = code.file.as_deref().unwrap_or_default();
        assert!(file.ends_with("program.rs"), "{split}: {code:?}");
        // Lines are in the program itself; the names of inlined functions are not.
        let names = |of: &Module| -> Vec<String> {
            let of = Arc::new(of.clone());
            let mut symbolizer = Symbolizer::default();
            (address..address + 64)
                .flat_map(|address| symbolizer.resolve(&of, address).to_vec())
                .map(|function| function.name)
                .collect()
        };
        let inlined = |names: &[String]| names.iter().any(|name| name.contains("an_inlined_one"));
        assert!(inlined(&names(&module)), "{split}");
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|one| one == extension) {
                std::fs::remove_file(path).unwrap();
            }
        }
        assert!(!inlined(&names(&module)), "{split}: without {extension}");
    }
}

#[test]
fn what_is_kept_of_files_is_bounded() {
    let (module, address) = own_module_and_address();
    let mut symbolizer = Symbolizer::default();
    let functions = symbolizer.resolve(&module, address);
    assert!(symbolizer.kept.sum() > 0);
    let too_much = vec![0; limits::SYMBOL_KEPT_BYTES_MAX];
    let _too_much = super::blocks::Blocks::of_bytes(too_much, &symbolizer.kept);
    let next = symbolizer.resolve(&module, address + 1);
    assert_eq!(symbolizer.files.len(), 0, "forgotten");
    assert_eq!(next.last().unwrap().name, functions.last().unwrap().name);
}
