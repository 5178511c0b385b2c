//! What each level of debug information shows of one stack, as docs/symbols.md says it.
//!
//! A small library with async functions is compiled once for each level, loaded, and sampled while
//! it works. It needs nothing but the compiler.
#![cfg(test)]
#![expect(unsafe_code, reason = "loads libraries and calls them")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flashlamp::profile::{Frame, Note, Profile};
use flashlamp::{Clock, Profiler};

const DOCUMENT: &str = include_str!("../../docs/symbols.md");

/// The library's text, which the document shows.
fn shop() -> &'static str {
    let (_, rest) = DOCUMENT.split_once("```rust\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// The levels, and how the compiler is told.
const LEVELS: [(&str, &[&str]); 5] = [
    ("debug = 2", &["-Cdebuginfo=2"]),
    ("debug = 1", &["-Cdebuginfo=1"]),
    (
        "debug = \"line-tables-only\"",
        &["-Cdebuginfo=line-tables-only"],
    ),
    ("debug = 0", &["-Cdebuginfo=0"]),
    (
        "debug = 0, strip = true",
        &["-Cdebuginfo=0", "-Cstrip=symbols"],
    ),
];

fn compile(folder: &Path, options: &[&str]) {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    std::fs::write(folder.join("shop.rs"), shop()).unwrap();
    let compiled = Command::new(compiler)
        .current_dir(folder)
        .args(["--edition=2024", "--crate-type=cdylib", "-O"])
        .args(["-o", "libshop.so", "shop.rs"])
        .args(options)
        .status()
        .unwrap();
    assert!(compiled.success(), "{options:?}");
}

/// The library's function `serve`, which stays loaded.
fn load(library: &Path) -> extern "C" fn(u64) -> u64 {
    let path = CString::new(library.as_os_str().as_bytes()).unwrap();
    // SAFETY: a library that was just made of the document's text; nothing of it runs when it is
    // loaded but the initializers of std.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "{}", library.display());
    // SAFETY: the handle is of a loaded library, the name a string that ends.
    let serve = unsafe { libc::dlsym(handle, c"serve".as_ptr()) };
    assert!(!serve.is_null());
    // SAFETY: `serve` has this signature, and the library is never unloaded.
    unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn(u64) -> u64>(serve) }
}

/// A profile of the function at work.
fn recorded(serve: extern "C" fn(u64) -> u64) -> Profile {
    let period = Duration::from_micros(200);
    let profiler = Profiler::builder().clock(Clock::Wall).period(period);
    let profiler = profiler.start().unwrap();
    loop {
        serve(20_000);
        let log = profiler.log();
        if log.len() >= 50 {
            return log.into_profile();
        }
    }
}

/// A frame as the document shows it: the leaf is at another line in each sample.
fn shown(frame: &Frame<'_>, is_leaf: bool) -> String {
    let name = match frame.name().split_once("+0x") {
        Some((object, _)) => format!("`{object}+0x…`"),
        None => format!("`{}`", frame.name()),
    };
    let file = frame.file().and_then(|file| file.rsplit('/').next());
    match (file, frame.line()) {
        (Some(file), _) if is_leaf => format!("{name} {file}"),
        (Some(file), Some(line)) => format!("{name} {file}:{line}"),
        _ => name,
    }
}

/// The stack below `serve` that was seen most, root first.
fn stack(profile: &Profile, library: &str) -> Vec<String> {
    let mut seen = BTreeMap::<Vec<String>, u64>::new();
    for sample in profile.samples() {
        let frames: Vec<Frame<'_>> = profile.stack_leaf_first(sample.stack().unwrap()).collect();
        // Inlined functions have no mapping of their own: theirs is that of the code below.
        let of_shop = |frame: &Frame<'_>| frame.mapping().is_some_and(|one| one.path == library);
        let Some(serve) = frames.iter().rposition(of_shop) else {
            continue;
        };
        let inside = frames[..=serve].iter().enumerate().rev();
        let lines = inside.map(|(place, frame)| shown(frame, place == 0));
        *seen.entry(lines.collect()).or_default() += 1;
    }
    let most = seen.into_iter().max_by_key(|(_, count)| *count);
    most.expect("it was sampled").0
}

/// The stacks side by side: the root above, the leaf below, and what a level does not show left
/// out between them.
fn table(stacks: &[Vec<String>]) -> String {
    let depth = stacks.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for (level, _) in LEVELS {
        write!(text, "| `{level}` ").unwrap();
    }
    writeln!(text, "|\n{}|", "|---".repeat(LEVELS.len())).unwrap();
    for row in 0..depth {
        for stack in stacks {
            let missing = depth - stack.len();
            let place = match row {
                0 => Some(0),
                _ => row.checked_sub(missing).filter(|place| *place > 0),
            };
            match place.and_then(|place| stack.get(place)) {
                Some(frame) => write!(text, "| {frame} ").unwrap(),
                None => text.push_str("| "),
            }
        }
        text.push_str("|\n");
    }
    text
}

#[test]
fn document_shows_what_each_level_shows() {
    let folder = tempfile::tempdir().unwrap();
    let mut stacks = Vec::new();
    for (number, (level, options)) in LEVELS.iter().enumerate() {
        let folder = folder.path().join(number.to_string());
        std::fs::create_dir(&folder).unwrap();
        compile(&folder, options);
        let library = folder.join("libshop.so");
        let profile = recorded(load(&library));
        stacks.push(stack(&profile, library.to_str().unwrap()));
        let notes = profile.notes();
        let noted = match notes[..] {
            [] => "nothing",
            [Note::UnnamedAsync(_)] => "unnamed",
            [Note::NoDebugInfo(_)] => "no debug information",
            _ => "more",
        };
        let expected = match *level {
            "debug = \"line-tables-only\"" => "unnamed",
            "debug = 0" => "no debug information",
            _ => "nothing",
        };
        assert_eq!(noted, expected, "{level}: {notes:?}");
    }
    let table = table(&stacks);
    assert!(
        DOCUMENT.contains(&table),
        "not in docs/symbols.md:\n\n{table}"
    );
}
