//! Code that is compiled at run time: named in our own stacks, with its callers.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]
#![expect(unsafe_code, reason = "runs code that the test writes itself")]

use std::time::{Duration, Instant};

use flashlamp::profile::FrameKind;
use flashlamp::{PerfMap, Profiler};

/// `extern "C" fn(rounds: u64)`: a frame with a frame pointer, and a loop.
#[rustfmt::skip]
const SPIN: [u8; 14] = [
    0x55,                   //  0: push rbp
    0x48, 0x89, 0xe5,       //  1: mov  rbp, rsp
    0x48, 0xff, 0xcf,       //  4: dec  rdi
    0x75, 0xfb,             //  7: jnz  to the dec
    0x5d,                   //  9: pop  rbp
    0xc3,                   // 10: ret
    0xcc, 0xcc, 0xcc,       //     padding
];

struct Code {
    start: *mut libc::c_void,
    len: usize,
}

impl Code {
    fn new() -> Self {
        let len = 4096;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: asks for fresh memory anywhere.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: `start` has 4096 writable bytes, nobody else knows them.
        unsafe { std::ptr::copy_nonoverlapping(SPIN.as_ptr(), start.cast(), SPIN.len()) };
        // SAFETY: the same range.
        let result = unsafe { libc::mprotect(start, len, libc::PROT_READ | libc::PROT_EXEC) };
        assert_eq!(result, 0);
        Self { start, len }
    }

    fn run(&self, rounds: u64) {
        // SAFETY: the bytes are a function of this signature that keeps the C convention.
        let function =
            unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn(u64)>(self.start) };
        function(rounds);
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and no longer run.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

#[inline(never)]
fn caller_of_compiled_code(code: &Code, duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        code.run(1_000_000);
    }
}

#[test]
fn compiled_function_is_named_between_its_callers() {
    let code = Code::new();
    let map = PerfMap::create().unwrap();
    let registered = map.register(code.start.addr(), SPIN.len(), "spin of the test");
    let profiler = Profiler::builder()
        .period(Duration::from_millis(1))
        .start()
        .unwrap();
    caller_of_compiled_code(&code, Duration::from_millis(300));
    // Unregistered and unmapped before the log is made: samples keep the name.
    drop(registered);
    drop(code);
    let log = profiler.stop();
    let mut named = 0;
    for entry in &log {
        let stack = entry.stack();
        let Some(at) = stack
            .iter()
            .position(|frame| frame.name() == "spin of the test")
        else {
            continue;
        };
        named += 1;
        assert_eq!(at, 0, "{stack:?}");
        assert_eq!(stack[0].kind(), FrameKind::Jit);
        let is_caller = |name: &str| name.ends_with("caller_of_compiled_code");
        // Also where the frame is not set up yet, or not any more: signals like to arrive at the
        // first instruction, where the first touch of a page enters the kernel.
        assert!(
            stack.iter().any(|frame| is_caller(frame.name())),
            "{stack:?}"
        );
    }
    assert!(
        named * 10 >= log.len() * 8,
        "{named} of {}\n{}",
        log.len(),
        log.folded()
    );
    let lines = std::fs::read_to_string(map.path()).unwrap();
    assert!(lines.ends_with(" e spin of the test\n"), "{lines}");
    std::fs::remove_file(map.path()).unwrap();
}
