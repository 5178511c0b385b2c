//! Raised signals that look like those of a timer, and stacks to raise them from.

use std::hint::black_box;
use std::time::{Duration, Instant};

use flashlamp::{Clock, Profiler};

/// Calls `work` from so many frames of one function.
#[inline(never)]
pub(crate) fn below(frames: u32, work: &mut dyn FnMut()) -> u32 {
    if frames <= 1 {
        work();
        return 1;
    }
    black_box(below(frames - 1, work)) + 1
}

/// 100 us: longer than a sample takes.
pub(crate) fn pause() {
    let end = Instant::now() + Duration::from_micros(100);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

pub(crate) extern "C" fn empty_handler(_signal: libc::c_int) {}

/// The time of one signal of this value, after a pause.
pub(crate) fn time_of_signal(value: u64) -> Duration {
    pause();
    let began = Instant::now();
    raise_as_timer(value);
    began.elapsed()
}

fn thread_id() -> libc::pid_t {
    // SAFETY: gettid takes no argument and always succeeds.
    unsafe { libc::gettid() }
}

/// Sends this thread what the kernel sends for the profiler's timer.
fn raise_as_timer(value: u64) {
    // SAFETY: siginfo_t is a C struct of integers: all zeroes is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = libc::SIGPROF;
    info.si_code = libc::SI_TIMER;
    // The layout of a timer's siginfo on 64-bit Linux: after three ints and padding come the
    // timer's id, the overrun (0), and the value at byte 24.
    // SAFETY: word 3 lies inside the 128 bytes of siginfo_t, which is aligned to 8.
    let word = unsafe { (&raw mut info).cast::<u64>().add(3) };
    // SAFETY: as above, and nobody else knows `info`.
    unsafe { word.write(value) };
    let signal = libc::SYS_rt_tgsigqueueinfo;
    let (process, thread) = (std::process::id(), thread_id());
    // SAFETY: both ids are our own; the kernel copies the siginfo.
    let result = unsafe { libc::syscall(signal, process, thread, libc::SIGPROF, &raw const info) };
    assert_eq!(result, 0, "rt_tgsigqueueinfo");
}

/// Runs `work` while an idle thread has a profiler of a short period: the drain then comes every
/// 5 ms, as it would at such a rate.
pub(crate) fn with_busy_drain(work: impl FnOnce()) {
    std::thread::scope(|scope| {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let idle = Profiler::builder()
                .period(Duration::from_micros(50))
                .start();
            wait.recv().unwrap_or_default();
            drop(idle);
        });
        work();
        drop(done);
    });
}

/// A profiler of this thread whose own timer is out of the way: one signal in a thousand seconds.
pub(crate) fn quiet_profiler(clock: Clock) -> Profiler {
    Profiler::builder()
        .clock(clock)
        .period(Duration::from_secs(1000))
        .start()
        .expect("the bench may create timers")
}

/// Ends it, and asserts that the handler ran and lost nothing.
pub(crate) fn stop(profiler: Profiler) {
    let log = profiler.stop();
    assert!(!log.is_empty(), "the handler ran");
    assert!(
        log.losses().is_empty(),
        "samples were lost: {:?}",
        log.losses()
    );
}
