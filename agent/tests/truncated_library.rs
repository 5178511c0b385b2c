//! A loaded library whose file is truncated in place costs its names, not the host. Alone in its
//! process: it forks one that does not survive a look at that file.
#![cfg(test)]
#![expect(unsafe_code, reason = "loads a library and forks")]

use std::ffi::{CString, c_int};
use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use flashlamp::{Clock, Profiler};

/// A library that this process has loaded.
fn some_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.split_once('/'));
    let mut libraries = paths.filter(|(_, path)| path.contains("libgcc_s.so"));
    let (_, path) = libraries.next().expect("panics unwind through libgcc_s");
    PathBuf::from(format!("/{path}"))
}

fn is_sampled() -> bool {
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_micros(200))
        .start();
    black_box((0..20_000_000_u64).fold(1, |value, round| black_box(value ^ round)));
    !profiler.unwrap().stop().is_empty()
}

#[test]
fn library_that_was_truncated_does_not_end_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.so");
    fs::copy(some_library(), &copy).unwrap();
    let path = CString::new(copy.as_os_str().as_bytes()).unwrap();
    // SAFETY: the child samples itself and leaves by _exit; the library is never called.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: a library that is loaded already, under another name.
        let loaded = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        let file = File::options().write(true).open(&copy);
        let truncated = file.and_then(|file| file.set_len(0)).is_ok();
        let passed = !loaded.is_null() && truncated && is_sampled();
        // SAFETY: leaves without a look at the library.
        unsafe { libc::_exit(c_int::from(!passed)) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live int.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "status {status:#x}"
    );
}
