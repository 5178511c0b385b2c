//! Every libc call outside the signal handler's own files, one safe wrapper each, and memory that
//! is zero to begin with.
#![expect(
    unsafe_code,
    reason = "system calls; each wrapper argues its own safety"
)]

use std::ffi::CStr;
use std::io;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The calling thread's id.
///
/// # Signal safety
/// One system call; sets no errno.
pub(crate) fn tid() -> i32 {
    // SAFETY: gettid(2) takes no argument and always succeeds.
    unsafe { libc::gettid() }
}

/// What tells the calling thread from all others, as long as it lives: where its thread control
/// block is.
///
/// # Signal safety
/// One load or none.
pub(crate) fn thread_pointer() -> u64 {
    let pointer: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first word of the block holds its own address (ELF Handling For Thread-Local
    // Storage, section 3.4.6).
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register that ordinary code may read.
    unsafe {
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// This process's id.
///
/// # Signal safety
/// One system call; sets no errno.
pub(crate) fn pid() -> i32 {
    // SAFETY: getpid(2) takes no argument and always succeeds.
    unsafe { libc::getpid() }
}

/// Nanoseconds of a clock; 0 where the kernel does not know the clock.
///
/// # Signal safety
/// As [`known_clock_ns`].
pub(crate) fn clock_ns(clock: libc::clockid_t) -> u64 {
    known_clock_ns(clock).unwrap_or(0)
}

/// Nanoseconds of a clock; `None` where the kernel does not know it, such as that of a thread that is
/// gone. That of a thread that has only just begun may stand at 0.
///
/// # Signal safety
/// `clock_gettime` is on the list of signal-safety(7); it takes no lock in the vDSO.
pub(crate) fn known_clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec that the call may write.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if result != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Some(seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos))
}

/// The step of a clock (`clock_getres(2)`); `None` where the kernel does not know the clock.
pub(crate) fn clock_step_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec that the call may write.
    let result = unsafe { libc::clock_getres(clock, &raw mut time) };
    let nanos = u64::try_from(time.tv_nsec).ok()?;
    (result == 0 && nanos > 0).then_some(nanos)
}

/// The CPU clock of one thread of this process: `MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED)`
/// of the kernel, which is what `pthread_getcpuclockid(3)` computes.
pub(crate) const fn thread_cpu_clock(tid: i32) -> libc::clockid_t {
    ((!tid) << 3) | 6
}

/// How often a thread lost its CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    /// By its own doing: to wait for something (`ru_nvcsw`).
    pub(crate) voluntary: u64,
    /// Because another one was to have it (`ru_nivcsw`).
    pub(crate) involuntary: u64,
}

/// How often the calling thread lost its CPU (`getrusage(2)`). `None` where that cannot be asked.
///
/// # Signal safety
/// One system call; may set errno.
pub(crate) fn switches() -> Option<Switches> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the kernel writes a `struct rusage` to the address or fails.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so all of it was written.
    let usage = unsafe { usage.assume_init() };
    Some(Switches {
        voluntary: u64::try_from(usage.ru_nvcsw).ok()?,
        involuntary: u64::try_from(usage.ru_nivcsw).ok()?,
    })
}

/// The calling thread's errno.
///
/// # Signal safety
/// Reads a thread-local integer of libc.
pub(crate) fn errno() -> i32 {
    // SAFETY: takes no argument and always succeeds.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it points to this thread's errno, valid while the thread lives.
    unsafe { *errno }
}

/// Sets the calling thread's errno.
///
/// # Signal safety
/// Writes a thread-local integer of libc.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: takes no argument and always succeeds.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it points to this thread's errno, which nobody else writes.
    unsafe { *errno = value };
}

/// Copies memory of process `pid` (our own) from `address` on; returns the words copied, 0
/// where nothing could be read. Never faults: the kernel checks the range (`process_vm_readv(2)`).
///
/// # Signal safety
/// One system call, two at a page boundary; may set errno.
pub(crate) fn read_words(pid: i32, address: u64, words: &mut [u64]) -> usize {
    let wanted = words.len().wrapping_mul(8);
    let read = vm_read(pid, address, words.as_mut_ptr().cast(), wanted);
    if read != 0 {
        return read / 8;
    }
    // Nothing at all: the range may run into an unmapped page. Ask for the first page's rest.
    let page_rest = usize::try_from(4096_u64.wrapping_sub(address & 4095)).unwrap_or(0);
    if page_rest >= wanted {
        return 0;
    }
    vm_read(pid, address, words.as_mut_ptr().cast(), page_rest) / 8
}

/// Whether the page of `address` can be read: whether the kernel could read a signal set there, of
/// which it then finds that it does not know what to do with it (`rt_sigprocmask(2)`: `EFAULT` comes
/// before `EINVAL`). An old trick, of gperftools among others.
///
/// # Signal safety
/// One system call; may set errno.
pub(crate) fn is_readable(address: u64) -> bool {
    // The set's first word has to lie in the page; it is one word.
    is_readable_set(address & !7)
}

/// Whether the pages on both sides of a boundary between pages can be read: the set lies in both.
///
/// # Signal safety
/// As [`is_readable`].
pub(crate) fn are_readable_around(boundary: u64) -> bool {
    is_readable_set(boundary.wrapping_sub(4))
}

fn is_readable_set(set: u64) -> bool {
    // SAFETY: the kernel copies eight bytes from the address or fails with EFAULT; with a `how` that
    // does not exist it changes nothing, and it is told of no place to write to.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, -1, set, 0_usize, 8_usize) };
    result == 0 || errno() == libc::EINVAL
}

/// Copies `bytes.len()` bytes at `address` of our own memory; false where not all was readable.
///
/// # Signal safety
/// One system call; may set errno.
pub(crate) fn read_bytes(pid: i32, address: u64, bytes: &mut [u8]) -> bool {
    vm_read(pid, address, bytes.as_mut_ptr(), bytes.len()) == bytes.len()
}

fn vm_read(pid: i32, address: u64, into: *mut u8, len: usize) -> usize {
    let Ok(start) = usize::try_from(address) else {
        return 0;
    };
    let local = libc::iovec {
        iov_base: into.cast(),
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(start),
        iov_len: len,
    };
    // SAFETY: `local` names `len` writable bytes that the callers borrow mutably; `remote` is
    // only a number to the kernel, which fails with EFAULT instead of faulting.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// Whether `process_vm_readv` works on this process at all.
pub(crate) fn probe_read(pid: i32) -> io::Result<()> {
    let value = 0x5eed_u64;
    let mut copy = [0_u64];
    let address = (&raw const value).addr() as u64;
    if read_words(pid, address, &mut copy) == 1 && copy == [value] {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Fills `bytes` from the kernel's random source (getrandom(2)); falls back to the clock where
/// it is refused.
pub(crate) fn random_bytes(bytes: &mut [u8]) {
    // SAFETY: the pointer and length name `bytes`, which is borrowed mutably.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(got) != Ok(bytes.len()) {
        let mut seed = clock_ns(libc::CLOCK_MONOTONIC) ^ u64::from(pid().unsigned_abs()) << 32;
        for byte in bytes {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            *byte = seed.to_le_bytes()[3];
        }
    }
}

/// A random number.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    random_bytes(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Words of 0. The allocator asks the kernel for large pieces, which has pages of zeroes for
/// nothing until they are written.
pub(crate) fn zeroed_words(len: usize) -> Box<[AtomicU64]> {
    let words = Box::new_zeroed_slice(len);
    // SAFETY: an atomic has the bits of its integer, and all zeroes is an integer.
    unsafe { words.assume_init() }
}

/// A kernel timer that signals one thread (`timer_create(2)` with `SIGEV_THREAD_ID`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelTimer(libc::c_int);

impl KernelTimer {
    /// Creates a disarmed timer on `clock` that sends `signal` with `value` to thread `tid`.
    pub(crate) fn create(
        clock: libc::clockid_t,
        signal: i32,
        tid: i32,
        value: u64,
    ) -> io::Result<Self> {
        // SAFETY: sigevent is a C struct of integers and a pointer: all zeroes is valid.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = tid;
        event.sigev_value = libc::sigval {
            sival_ptr: std::ptr::without_provenance_mut(usize::try_from(value).unwrap_or(0)),
        };
        let mut id: libc::c_int = 0;
        // SAFETY: the raw call (not glibc's wrapper, which maps clock ids) reads a sigevent and
        // writes the kernel's int timer id; both outlive the call.
        let result =
            unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw mut event, &raw mut id) };
        if result == 0 {
            Ok(Self(id))
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// The kernel's number of it.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// The timer with this number.
    ///
    /// # Signal safety
    /// Nothing happens.
    pub(crate) const fn of_number(number: i32) -> Self {
        Self(number)
    }

    /// Arms the timer: first after `first`, then every `period`. A zero `first` disarms it.
    /// Returns what was left to the next expiry, zero where it was disarmed.
    ///
    /// # Signal safety
    /// One system call.
    pub(crate) fn set(self, first: Duration, period: Duration) -> io::Result<Duration> {
        let new = libc::itimerspec {
            it_value: timespec(first),
            it_interval: timespec(period),
        };
        let mut old = new;
        // SAFETY: both itimerspecs outlive the call; an unknown id fails with EINVAL.
        let result = unsafe {
            libc::syscall(
                libc::SYS_timer_settime,
                self.0,
                0,
                &raw const new,
                &raw mut old,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let seconds = u64::try_from(old.it_value.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(old.it_value.tv_nsec).unwrap_or(0);
        Ok(Duration::new(seconds, nanos))
    }

    /// Deletes the timer. A signal that is already pending may still arrive.
    pub(crate) fn delete(self) {
        // SAFETY: an id that is no longer ours would fail with EINVAL; ids are per process and
        // the owner calls this once.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.0) };
    }
}

/// A software event of the kernel that signals one thread each time that it had a CPU for a period
/// (`perf_event_open(2)`): not bound to the tick, unlike the timers. One descriptor each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PerfClock(libc::c_int);

/// `struct perf_event_attr` of `<linux/perf_event.h>` in its first version, 64 bytes.
#[repr(C)]
#[derive(Debug, Default)]
struct PerfAttributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_TASK_CLOCK: u64 = 1;
const PERF_DISABLED: u64 = 1;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_DISABLE: libc::c_ulong = 0x2401;

impl PerfClock {
    /// Opens a stopped event of thread `tid` that sends `signal`, in the kernel as well as outside:
    /// where that is not allowed it fails, and where it is it counts all of the thread's CPU time.
    pub(crate) fn open(tid: i32, period_ns: u64, signal: i32) -> io::Result<Self> {
        let attributes = PerfAttributes {
            kind: PERF_TYPE_SOFTWARE,
            size: 64,
            config: PERF_COUNT_SW_TASK_CLOCK,
            sample_period: period_ns,
            flags: PERF_DISABLED,
            wakeup_events: 1,
            ..PerfAttributes::default()
        };
        let (any_cpu, no_group) = (-1, -1);
        // SAFETY: the call reads the attributes, whose size they state; the rest are integers.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                tid,
                any_cpu,
                no_group,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        let fd = libc::c_int::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let event = Self(fd);
        event
            .signal_thread(tid, signal)
            .inspect_err(|_| event.close())?;
        Ok(event)
    }

    /// Has the signal sent to this thread (`fcntl(2)`: `F_SETOWN_EX`, `F_SETSIG`, `O_ASYNC`).
    fn signal_thread(self, tid: i32, signal: i32) -> io::Result<()> {
        const F_SETSIG: libc::c_int = 10;
        const F_SETOWN_EX: libc::c_int = 15;
        let to_thread = [0_i32, tid];
        // SAFETY: `struct f_owner_ex` is two ints, the first 0 for a thread; it outlives the call.
        let owned = unsafe { libc::fcntl(self.0, F_SETOWN_EX, to_thread.as_ptr()) };
        // SAFETY: integers only.
        let signalled = unsafe { libc::fcntl(self.0, F_SETSIG, signal) };
        // SAFETY: integers only.
        let is_async = unsafe { libc::fcntl(self.0, libc::F_SETFL, libc::O_ASYNC) };
        if owned < 0 || signalled < 0 || is_async < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The descriptor, as the signal tells it.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// Starts it.
    pub(crate) fn start(self) -> io::Result<()> {
        // SAFETY: integers only.
        let result = unsafe { libc::ioctl(self.0, PERF_EVENT_IOC_ENABLE, 0) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Ends it. A signal that is already pending may still arrive.
    pub(crate) fn close(self) {
        // A child that was forked meanwhile has the descriptor as well: to close ours alone would leave
        // the event running.
        // SAFETY: integers only.
        unsafe { libc::ioctl(self.0, PERF_EVENT_IOC_DISABLE, 0) };
        // SAFETY: the descriptor is ours, and its owner calls this once.
        unsafe { libc::close(self.0) };
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos()),
    }
}

/// Blocks `signal` for the calling thread, and for the threads that it starts; tells whether it
/// was blocked.
pub(crate) fn block_signal(signal: i32) -> bool {
    change_mask(libc::SIG_BLOCK, signal)
}

/// Unblocks `signal` for the calling thread, and for the threads that it starts.
pub(crate) fn unblock_signal(signal: i32) {
    change_mask(libc::SIG_UNBLOCK, signal);
}

/// Whether the calling thread blocks `signal`.
pub(crate) fn is_signal_blocked(signal: i32) -> bool {
    // SAFETY: sigset_t is a C array of integers: all zeroes is valid.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: without a new mask it only asks; `mask` is live.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask) };
    // SAFETY: `mask` is a live sigset_t, empty where it could not be asked for.
    unsafe { libc::sigismember(&raw const mask, signal) == 1 }
}

/// Changes this thread's mask by one signal; tells whether that was blocked.
fn change_mask(how: libc::c_int, signal: i32) -> bool {
    // SAFETY: sigset_t is a C array of integers: all zeroes is valid, and sigemptyset follows.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a live sigset_t.
    unsafe { libc::sigemptyset(&raw mut set) };
    let mut before = set;
    // SAFETY: as above; a bad signal number only fails.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    // SAFETY: changes only this thread's mask; both sets are live, the second may be written.
    unsafe { libc::pthread_sigmask(how, &raw const set, &raw mut before) };
    // SAFETY: `before` is a live sigset_t, empty where it could not be asked for.
    unsafe { libc::sigismember(&raw const before, signal) == 1 }
}

/// Whether a thread of this process exists (tgkill(2) with signal 0).
pub(crate) fn thread_exists(pid: i32, tid: i32) -> bool {
    // SAFETY: three integers; signal 0 only checks.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The limit on pending signals (each timer takes one), where it can be read.
pub(crate) fn pending_signals_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_SIGPENDING)
}

/// The limit on open descriptors, where it can be read.
pub(crate) fn descriptors_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_NOFILE)
}

fn soft_limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a live rlimit that the call may write.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// How often the loader added and removed objects.
pub(crate) fn loader_counters() -> (u64, u64) {
    let mut counters = (0, 0);
    for_each_object(&mut |object| {
        counters = object.counters;
        false
    });
    counters
}

/// One loaded object, as `dl_iterate_phdr(3)` shows it; only valid during the visit.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// The path; empty for the program itself.
    pub(crate) name: &'a CStr,
    /// What is added to the addresses of the file.
    pub(crate) base: u64,
    /// Where its program headers are mapped. Read them as other memory of it, with
    /// [`read_bytes`]: a look at a mapped file that was truncated is a `SIGBUS`.
    pub(crate) headers_at: u64,
    /// How many there are.
    pub(crate) header_count: usize,
    /// `dlpi_adds` and `dlpi_subs`.
    pub(crate) counters: (u64, u64),
}

type Visit<'v> = &'v mut dyn FnMut(&Object<'_>) -> bool;

/// Visits every loaded object until the visitor returns false. The loader's lock is held
/// meanwhile, so no object goes away under the visitor.
pub(crate) fn for_each_object(mut visit: Visit<'_>) {
    unsafe extern "C" fn on_object(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        data: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: dl_iterate_phdr hands out a valid info for the time of the call.
        let info = unsafe { &*info };
        // SAFETY: `data` is the `&mut visit` below, which outlives dl_iterate_phdr.
        let visit = unsafe { &mut *data.cast::<Visit<'_>>() };
        let name = if info.dlpi_name.is_null() {
            c""
        } else {
            // SAFETY: the loader's names are NUL-terminated and live while it holds its lock.
            unsafe { CStr::from_ptr(info.dlpi_name) }
        };
        let object = Object {
            name,
            base: info.dlpi_addr,
            headers_at: info.dlpi_phdr.addr() as u64,
            header_count: usize::from(info.dlpi_phnum),
            counters: (info.dlpi_adds, info.dlpi_subs),
        };
        // A panic must not cross C frames; it ends the walk.
        let go_on = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| visit(&object)));
        libc::c_int::from(!matches!(go_on, Ok(true)))
    }
    // SAFETY: the callback matches the C signature and `visit` lives across the call.
    unsafe { libc::dl_iterate_phdr(Some(on_object), (&raw mut visit).cast()) };
}
