//! Names of this test binary's own functions.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::{Functions, Symbolizer};
use crate::limits;
use crate::mappings::{Module, Modules};
use crate::sys;
use crate::unwind::Tables;

fn resolve(symbolizer: &mut Symbolizer, module: &Arc<Module>, address: u64) -> Functions {
    let found = symbolizer.resolve_all(&[(Arc::clone(module), address)]);
    Arc::clone(&found[0])
}

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
    let functions = resolve(&mut symbolizer, &module, address - module.base);
    let code = functions.last().unwrap();
    assert_eq!(
        &*code.name,
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
        resolve(&mut symbolizer, &module, address - module.base),
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
    assert_eq!(
        *resolve(&mut Symbolizer::default(), &module, past_the_end),
        []
    );
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
        .flat_map(|address| resolve(&mut symbolizer, vdso, address - vdso.base).to_vec())
        .map(|function| function.name.to_string())
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
    assert_eq!(*resolve(&mut symbolizer, &loaded_before, address), []);
    assert_ne!(*resolve(&mut symbolizer, &module, address), []);
}

#[test]
fn file_is_kept_once_wherever_it_is_loaded() {
    let (module, address) = own_module_and_address();
    let mut symbolizer = Symbolizer::default();
    let functions = resolve(&mut symbolizer, &module, address);
    let elsewhere = Arc::new(Module {
        start: module.start + 0x1000,
        base: module.base + 0x1000,
        ..Module::clone(&module)
    });
    assert_eq!(resolve(&mut symbolizer, &elsewhere, address), functions);
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
        resolve(&mut symbolizer, &plugin, address);
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
    let before = resolve(&mut symbolizer, &module, address);
    assert!(before[0].line > 0, "{before:?}");
    let file = std::fs::File::options().write(true).open(&copy).unwrap();
    file.set_len(4096).unwrap();
    // Far apart, so that they need units and lines that were not read before.
    for offset in (0..module.text_end - module.text_start).step_by(20_000) {
        resolve(
            &mut symbolizer,
            &module,
            module.text_start - module.base + offset,
        );
    }
    assert_eq!(resolve(&mut symbolizer, &module, address), before);
}

/// Compiles a program.
fn built(folder: &Path, text: &str, options: &[&str]) -> PathBuf {
    std::fs::write(folder.join("program.rs"), text).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = std::process::Command::new(compiler)
        .current_dir(folder)
        .args(["--edition=2024", "-o", "program", "program.rs"])
        .args(options)
        .status()
        .unwrap();
    assert!(built.success(), "{built}");
    folder.join("program")
}

/// A program of one function, built with split debug information; where it is, and the
/// function's address.
fn split_program(folder: &Path, split: &str) -> (PathBuf, u64) {
    let text = "
        #[inline(always)]
        fn an_inlined_one(n: u64) -> u64 { std::hint::black_box(n) * 3 }
        #[unsafe(no_mangle)]
        pub extern \"C\" fn a_split_function(n: u64) -> u64 { an_inlined_one(n) + 1 }
        fn main() { a_split_function(1); }";
    let split = format!("-Csplit-debuginfo={split}");
    let program = built(folder, text, &["-g", &split]);
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
        let functions = resolve(&mut Symbolizer::default(), &module, address);
        let code = functions.last().unwrap();
        assert_eq!(&*code.name, "a_split_function");
        let file = code.file.as_deref().unwrap_or_default();
        assert!(file.ends_with("program.rs"), "{split}: {code:?}");
        // Lines are in the program itself; the names of inlined functions are not.
        let names = |of: &Module| -> Vec<String> {
            let of = Arc::new(of.clone());
            let mut symbolizer = Symbolizer::default();
            (address..address + 64)
                .flat_map(|address| resolve(&mut symbolizer, &of, address).to_vec())
                .map(|function| function.name.to_string())
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

/// A name, its file and its line.
type Said = (String, Option<String>, u32);

/// What addr2line says of each address: the functions that it has names for.
fn said_by_the_oracle(bytes: &[u8], addresses: &[u64]) -> Vec<Vec<Said>> {
    let file = object::File::parse(bytes).unwrap();
    let load = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let section = file.section_by_name(id.name());
        let data = section.map_or(&[][..], |section| section.data().unwrap());
        Ok(gimli::EndianSlice::new(data, gimli::LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(load).unwrap();
    let context = addr2line::Context::from_dwarf(dwarf).unwrap();
    let frames = |address: &u64| {
        let mut frames = context.find_frames(*address).skip_all_loads().unwrap();
        let mut all = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            let Some(function) = frame.function else {
                continue;
            };
            let location = frame.location.as_ref();
            all.push((
                super::readable(&function.raw_name().unwrap()),
                location
                    .and_then(|location| location.file)
                    .map(str::to_owned),
                location.and_then(|location| location.line).unwrap_or(0),
            ));
        }
        all
    };
    addresses.iter().map(frames).collect()
}

/// Functions of the file all over it, and where they end.
fn functions_of(bytes: &[u8]) -> Vec<(u64, u64)> {
    let file = object::File::parse(bytes).unwrap();
    let text = |symbol: &object::Symbol<'_, '_>| symbol.kind() == object::SymbolKind::Text;
    let functions = file
        .symbols()
        .filter(|symbol| text(symbol) && symbol.size() > 0);
    functions
        .map(|symbol| (symbol.address(), symbol.address() + symbol.size()))
        .collect()
}

/// Compares our reader with the oracle at some addresses of a file; how many had functions, and how
/// many inlined ones.
fn compare_with_the_oracle(path: &Path, step: usize) -> (usize, usize) {
    let bytes = std::fs::read(path).unwrap();
    let functions = functions_of(&bytes).into_iter().step_by(step);
    let addresses: Vec<u64> = functions
        .flat_map(|(start, end)| [start, start + (end - start) / 2, end - 1])
        .collect();
    let module = Arc::new(Module {
        file: Some(path.to_owned()),
        build_id: String::new(),
        ..Module::clone(&own_module_and_address().0)
    });
    let wanted: Vec<_> = addresses
        .iter()
        .map(|at| (Arc::clone(&module), *at))
        .collect();
    let ours = Symbolizer::default().resolve_all(&wanted);
    let (mut named, mut inlined) = (0, 0);
    let oracle = said_by_the_oracle(&bytes, &addresses);
    for ((address, ours), oracle) in addresses.iter().zip(ours).zip(oracle) {
        if oracle.is_empty() {
            continue;
        }
        let text = |function: &super::Function| {
            let file = function.file.as_ref().map(ToString::to_string);
            (function.name.to_string(), file, function.line)
        };
        let ours: Vec<Said> = ours.iter().map(text).collect();
        assert_eq!(ours, oracle, "{address:#x} of {}", path.display());
        named += 1;
        inlined += oracle.len() - 1;
    }
    (named, inlined)
}

#[test]
fn our_reader_says_what_addr2line_says() {
    let (named, inlined) = compare_with_the_oracle(Path::new("/proc/self/exe"), 7);
    assert!(named > 1000 && inlined > 100, "{named} {inlined}");
}

#[test]
fn our_reader_says_what_addr2line_says_of_other_builds() {
    let text = "
        fn main() {
            let mut words: Vec<String> = std::env::args().collect();
            words.sort_by_key(|word| std::cmp::Reverse(word.len()));
            let all: std::collections::HashMap<_, _> = words.iter().zip(1..).collect();
            println!(\"{all:?}\");
        }";
    for options in [
        // Inlined functions of other units.
        &["-O", "-g", "-Clto=fat"][..],
        &["-O", "-g", "-Cdwarf-version=5"],
        &["-O", "-Cdebuginfo=1"],
        &["-O", "-Cdebuginfo=line-tables-only"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let program = built(folder.path(), text, options);
        let (named, _) = compare_with_the_oracle(&program, 1);
        assert!(named > 20, "{options:?}: {named}");
    }
}
