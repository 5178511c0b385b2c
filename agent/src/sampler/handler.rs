//! The signal handler: from an expired timer to a record in the thread's ring.
//!
//! **Ordering of `busy`, `generation` and `session`.** The handler sets the thread's `busy`
//! flag, then looks at the timer's generation and session; whoever ends a session changes
//! these, then waits until `busy` is 0. All of it is `SeqCst`, so one of the two sees the other:
//! after the wait no handler can write for the ended session, and its counters are final.
#![expect(unsafe_code, reason = "a signal handler gets raw pointers")]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::event;
use super::shared::{Inner, with_tables};
use super::signal;
use super::slot::{Expired, ThreadSlot, TimerSlot};
use super::system_call;
use super::wall::{Pools, Reading};
use crate::clock;
use crate::limits::ALTERNATE_STACK_ROOM;
use crate::ring::Full;
use crate::ring::record::{Header, Lost, Quality, State};
use crate::sys;
use crate::unwind::{OwnStack, Registers, ThreadState, of_context, walk};

/// The process that samples: stack reads name it.
pub(crate) static PID: AtomicI32 = AtomicI32::new(0);

/// Signals that nobody waited for: of timers whose session had ended, or that had paused meanwhile.
pub(crate) static LATE_SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Samples that met code of which nothing was known: the drain then looks where code is.
pub(crate) static UNKNOWN_CODE: AtomicU64 = AtomicU64::new(0);

/// `SIGPROF` arrives here.
///
/// # Signal safety
/// Keeps errno; takes no lock, allocates and formats nothing. Its system calls are gettid(2) on a
/// thread's first sample; of a perf event `clock_gettime(2)`; `rt_sigprocmask(2)` for pages of the stack, `process_vm_readv(2)` where it
/// is not the thread's own; on the wall clock `clock_gettime(2)`, `getrusage(2)`, `process_vm_readv(2)`
/// of the interrupted instruction, and `timer_settime(2)` where the thread waits. Bounded by the
/// maximum depth and [`crate::limits::STACK_READS_MAX`].
pub(super) extern "C" fn on_sigprof(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = sys::errno();
    // SAFETY: the kernel passes a valid siginfo and context with SA_SIGINFO (sigaction(2)).
    let expiry = unsafe { expiry_of(info) };
    match expiry {
        Some((timer, value, events)) => {
            // SAFETY: as above; the context stays valid until the handler returns.
            let context = unsafe { &*context.cast::<ucontext_t>() };
            let registers = of_context(context);
            let interrupted = Interrupted {
                has_room: has_room(context, &registers),
                registers,
            };
            on_expiry(timer, value, events, interrupted);
        }
        None => signal::chain(signal, info, context),
    }
    sys::set_errno(errno);
}

/// The timer, value and event count of a signal that one of our timers sent.
///
/// # Safety
/// `info` is valid for the time of the call.
unsafe fn expiry_of(info: *mut siginfo_t) -> Option<(&'static TimerSlot, u64, u32)> {
    // SAFETY: valid by the caller's promise.
    let info = unsafe { &*info };
    match info.si_code {
        libc::SI_TIMER => {
            // SAFETY: the value is part of the siginfo of a timer.
            let value = unsafe { info.si_value() }.sival_ptr.addr() as u64;
            let timer = TimerSlot::of_value(value)?;
            // SAFETY: the overrun is part of the siginfo of a timer.
            let overrun = unsafe { info.si_overrun() };
            let events = u32::try_from(overrun).unwrap_or(0).saturating_add(1);
            Some((timer, value, events))
        }
        POLL_IN => {
            // The layout of such a siginfo on 64-bit Linux: after three ints and padding come the
            // band, a long, and at byte 24 the descriptor, an int (sigaction(2): si_band, si_fd).
            // SAFETY: word 6 of ints lies inside the 128 bytes of siginfo_t.
            let descriptor = unsafe { (&raw const *info).cast::<i32>().add(6) };
            // SAFETY: as above, and the kernel has written all of it.
            let value = event::value_of(unsafe { descriptor.read() })?;
            Some((TimerSlot::of_value(value)?, value, 1))
        }
        _ => None,
    }
}

/// `si_code` of a signal of a descriptor (`<asm-generic/siginfo.h>`).
const POLL_IN: c_int = 1;

/// What the signal interrupted.
struct Interrupted {
    registers: Registers,
    /// Whether there is room to walk the stack.
    has_room: bool,
}

/// Whether the handler may use as much stack as walking takes. A handler of the host may run on
/// an alternate stack of a few KiB, below which may be anything, and we run below it. Where the
/// host has it disarmed meanwhile (`SS_AUTODISARM`) its bounds are not known here.
///
/// # Signal safety
/// Two loads.
fn has_room(context: &ucontext_t, registers: &Registers) -> bool {
    let alternate = &context.uc_stack;
    let room = registers
        .stack_pointer()
        .wrapping_sub(alternate.ss_sp.addr() as u64);
    let is_on_it = room < alternate.ss_size as u64;
    !is_on_it || room >= ALTERNATE_STACK_ROOM
}

fn on_expiry(timer: &TimerSlot, value: u64, events: u32, interrupted: Interrupted) {
    let thread_pointer = sys::thread_pointer();
    let thread = ThreadSlot::at(timer.thread.load(Ordering::SeqCst));
    let Some(thread) = thread.filter(|thread| thread.is_of_this_thread(thread_pointer)) else {
        LATE_SIGNALS.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if thread.busy.swap(1, Ordering::SeqCst) != 0 {
        // Our own handler was interrupted by itself, which the signal mask rules out.
        LATE_SIGNALS.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let session = timer.session.load(Ordering::SeqCst);
    let expired = timer.expired(value).filter(|_| session != 0);
    match expired.filter(|expired| is_awaited(timer, *expired)) {
        Some(expired) => {
            let (events, running_ns) = timer.time_of(events);
            timer.taken.add(events);
            let signal = Signal {
                session,
                events,
                running_ns,
                expired,
            };
            // SAFETY: we hold this thread's `busy` flag.
            unsafe {
                thread.state.with(|state| {
                    sample(timer, thread, state, &signal, interrupted);
                });
            };
        }
        None => {
            LATE_SIGNALS.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread.busy.store(0, Ordering::Release);
}

/// A signal that is to become a sample.
struct Signal {
    session: u32,
    /// Periods that passed.
    events: u32,
    /// Time on a CPU that they are.
    running_ns: u64,
    expired: Expired,
}

/// Whether the slot waits for this timer of its: that of the wall clock may have paused since, and
/// the other one's turn is over when the pause is.
fn is_awaited(timer: &TimerSlot, expired: Expired) -> bool {
    match expired {
        Expired::Timer => !timer.is_wall() || timer.wall.is_active(),
        Expired::Waker => timer.wall.claim(),
    }
}

/// Takes one sample that was counted as taken; the caller holds `thread.busy`.
///
/// A deep stack at a short period may take longer to walk than the period lasts: then the next
/// signal is there before the program runs an instruction, and it would stand still for ever.
/// So where samples keep coming sooner than they take, a signal that comes sooner after the
/// last sample than that sample took is only counted, as overload: the program gets at least
/// about half of the time. One slow sample (its thread was preempted in the middle) is no
/// such sign. On the wall clock the next sample is charged with the time.
fn sample(
    timer: &TimerSlot,
    thread: &ThreadSlot,
    state: &mut Inner,
    signal: &Signal,
    interrupted: Interrupted,
) {
    let now_ns = clock::monotonic_ns();
    if state.pace.is_overload(now_ns) {
        timer.overload.add(signal.events);
        if signal.expired == Expired::Waker {
            go_on(timer, now_ns);
        }
        return;
    }
    let header = Header {
        session: signal.session,
        time_ns: now_ns,
        events: signal.events,
        entry: thread.entry.load(Ordering::Relaxed),
        quality: Quality::Lost(Lost::Room),
        state: State::Running,
        running_ns: signal.running_ns,
        off_ns: 0,
    };
    if timer.is_wall() {
        sample_wall(timer, thread, state, (header, signal.expired), interrupted);
    } else {
        write(timer, thread, state, header, interrupted);
    }
    state.pace.sampled(now_ns, clock::monotonic_ns());
}

/// Takes a sample of the wall clock: what it stands for is what the clocks say. Stops the timer
/// where the thread waits and has done nothing since it last waited there.
fn sample_wall(
    timer: &TimerSlot,
    thread: &ThreadSlot,
    state: &mut Inner,
    (mut header, expired): (Header, Expired),
    interrupted: Interrupted,
) {
    let registers = &interrupted.registers;
    let place = (registers.instruction, registers.stack_pointer());
    let cell = &timer.wall;
    let mut account = cell.account();
    let left_over = account.pools;
    let passed = account.pass(Reading::of_this_thread());
    let period_ns = timer.period_ns.load(Ordering::Relaxed);
    let share = match expired {
        Expired::Timer => {
            let late_ns = cell.late_ns(header.time_ns, header.events, period_ns);
            let in_system_call = passed.may_be_blocked()
                && system_call::was_waiting(PID.load(Ordering::Relaxed), registers);
            account.charge(&passed, passed.was_blocked(late_ns, in_system_call))
        }
        Expired::Waker => {
            let woken = (header.session, header.time_ns, header.entry);
            tell_wait(timer, thread, woken, passed.time);
            account.charge_woken(&passed)
        }
    };
    let blocked_at = (share.state == State::Blocked).then_some(place);
    let is_still = cell.is_still(blocked_at, &passed);
    header.running_ns = share.running_ns;
    header.off_ns = share.off_ns;
    header.state = if is_still { State::Paused } else { share.state };
    let is_written = write(timer, thread, state, header, interrupted);
    if !is_written {
        // Its time is lost with it, and what was left over from before is charged to another.
        account.pools = left_over;
    }
    cell.store(&account);
    if is_still && is_written {
        stop(timer);
    } else if expired == Expired::Waker {
        go_on(timer, header.time_ns);
    }
}

/// Stops the timer of a thread that waits, until the thread has run for up to a period.
fn stop(timer: &TimerSlot) {
    let (kernel, waker) = (timer.kernel(), timer.waker());
    let period_ns = timer.period_ns.load(Ordering::Relaxed);
    let delay = Duration::from_nanos(timer.wall.random_below(period_ns));
    let disarmed = kernel.map(|kernel| kernel.set(Duration::ZERO, Duration::ZERO));
    if !matches!(disarmed, Some(Ok(_))) {
        return;
    }
    timer.wall.pause();
    // Without it the drain's look ends the pause.
    if let Some(waker) = waker {
        let _left = waker.set(delay, Duration::ZERO);
    }
}

/// Starts the timer of a thread that has run again.
fn go_on(timer: &TimerSlot, now_ns: u64) {
    let period_ns = timer.period_ns.load(Ordering::Relaxed);
    timer.wall.set_due(now_ns.saturating_add(period_ns));
    let period = Duration::from_nanos(period_ns);
    if let Some(kernel) = timer.kernel() {
        let _left = kernel.set(period, period);
    }
}

/// Tells how long a thread waited where the sample before found it. Only for the thread's handler,
/// or where that cannot run: the ring has one producer.
///
/// # Signal safety
/// Atomic loads and stores.
pub(crate) fn tell_wait(
    timer: &TimerSlot,
    thread: &ThreadSlot,
    (session, time_ns, entry): (u32, u64, u32),
    passed: Pools,
) {
    let header = Header {
        session,
        time_ns,
        events: timer.periods_in(passed.off_ns),
        entry,
        quality: Quality::Complete,
        state: State::Still,
        running_ns: 0,
        off_ns: passed.off_ns,
    };
    timer.taken.add(header.events);
    let mut record = thread.ring.reserve();
    let written = header.write(&mut record);
    if written.and_then(|()| thread.commit(record)).is_err() {
        timer.ring_full.add(header.events);
    }
}

/// Writes a sample's record; where there is no room for it it is counted as lost. Tells whether it
/// was written.
fn write(
    timer: &TimerSlot,
    thread: &ThreadSlot,
    state: &mut Inner,
    header: Header,
    mut interrupted: Interrupted,
) -> bool {
    let registers = &mut interrupted.registers;
    let recorded = if interrupted.has_room {
        record(timer, thread, &mut state.unwind, header, registers)
    } else {
        record_leaf(thread, header, registers)
    };
    if recorded.is_err() {
        timer.ring_full.add(header.events);
    }
    recorded.is_ok()
}

/// Writes one record without callers: incomplete.
fn record_leaf(thread: &ThreadSlot, header: Header, registers: &Registers) -> Result<(), Full> {
    let mut record = thread.ring.reserve();
    header.write(&mut record)?;
    record.push(registers.instruction)?;
    thread.commit(record)
}

/// Writes one record. Never inlined: its frame is large, and only where there is room for it.
#[inline(never)]
fn record(
    timer: &TimerSlot,
    thread: &ThreadSlot,
    state: &mut ThreadState,
    header: Header,
    registers: &mut Registers,
) -> Result<(), Full> {
    let mut record = thread.ring.reserve();
    header.write(&mut record)?;
    let depth_max = timer.depth_max.load(Ordering::Relaxed);
    let mut depth = 0_u32;
    let mut full = false;
    let emit = |address: u64| {
        if depth >= depth_max {
            return false;
        }
        depth = depth.wrapping_add(1);
        full = record.push(address).is_err();
        !full
    };
    let pid = PID.load(Ordering::Relaxed);
    let own = thread
        .stack
        .of_this_thread(sys::thread_pointer(), registers.stack_pointer());
    // SAFETY: the drain found this range in the memory map, up to the control block of the thread
    // that runs here (pthread_create(3) of glibc puts it at the end of the stack's own memory), or as
    // the stack that the kernel gave the main thread. Nobody unmaps the part of it above the stack
    // pointer of the thread that runs on it. Where another stack lies in the range the walk still
    // asks for each page.
    let own = unsafe { OwnStack::assume(own) };
    // SAFETY: `state` is borrowed from the thread whose `busy` flag the handler holds, and the
    // publisher looks at that flag.
    let quality =
        unsafe { with_tables(|tables| walk(tables, state, (pid, &own), registers, emit)) };
    if full {
        return Err(Full);
    }
    if quality == Some(Quality::Lost(Lost::Table)) {
        UNKNOWN_CODE.fetch_add(1, Ordering::Relaxed);
    }
    header.set_quality(&mut record, quality.unwrap_or(Quality::Lost(Lost::Table)));
    thread.commit(record)
}
