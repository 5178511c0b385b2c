//! A call through a linkage table that is bound at that moment.
//!
//! The loader's entry for it keeps its frame in rbx, and calls compiled code from there.
#![expect(unsafe_code, reason = "handles a signal")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::compiled::Library;
use crate::mappings::Modules;
use crate::ring::record::Quality;
use crate::sys;
use crate::unwind::{OwnStack, Registers, Tables, ThreadState, of_context, walk};

/// `bound` is chosen by `choose`, which runs when `call` calls `bound` for the first time.
const LIBRARY: &str = "
#include <signal.h>
static void chosen(void) {}
static void (*choose(void))(void) { raise(SIGUSR2); return chosen; }
void bound(void) __attribute__((ifunc(\"choose\")));
int call(void) { bound(); return 1; }
";

static TABLES: Mutex<Option<Tables>> = Mutex::new(None);
static WALK: Mutex<Option<(Vec<u64>, Quality)>> = Mutex::new(None);
static ARMED: AtomicBool = AtomicBool::new(false);

/// Walks from here. Allocates and locks: the signal comes from a call of raise(3) of our own thread.
extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if !ARMED.swap(false, Ordering::SeqCst) {
        return;
    }
    // SAFETY: the kernel passes a valid context with SA_SIGINFO (sigaction(2)).
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    let tables = TABLES.lock().unwrap();
    let mut registers: Registers = of_context(context);
    let mut frames = Vec::new();
    let quality = walk(
        tables.as_ref().unwrap(),
        &mut ThreadState::new(),
        (sys::pid(), &OwnStack::default()),
        &mut registers,
        |address| {
            frames.push(address);
            frames.len() < 200
        },
    );
    *WALK.lock().unwrap() = Some((frames, quality));
}

#[test]
fn walk_from_a_call_that_is_being_bound_reaches_the_root() {
    let library = Library::of(LIBRARY);
    let modules = &mut Modules::default();
    *TABLES.lock().unwrap() = modules.refresh(sys::pid(), &Tables::empty());
    // SAFETY: a C struct of integers: all zeroes is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler has the signature of SA_SIGINFO; nobody else uses this signal.
    let result = unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    ARMED.store(true, Ordering::SeqCst);
    let call = library.function(c"call");
    assert_eq!(call(), 1);
    let (frames, quality) = WALK
        .lock()
        .unwrap()
        .take()
        .expect("the call was bound here");
    let call = (call as *const ()).addr() as u64;
    let of_call = frames
        .iter()
        .position(|frame| (call..call + 32).contains(frame));
    let of_loader = of_call.is_some_and(|place| place > 3);
    assert!(of_loader, "{call:#x} by way of the loader: {frames:x?}");
    assert_eq!(quality, Quality::Complete, "{frames:x?}");
}
