//! `Profiler`: sampling of this process by hand, started and stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flashlamp_profile::{Period, losses};

use crate::clock;
use crate::collection::{Chunk, Losses};
use crate::drain::start_session;
use crate::error::StartError;
use crate::limits;
use crate::log::Log;
use crate::process::Process;
use crate::registry::{FlushAt, Plan, SessionThreads};
use crate::resolve::{Detail, profile_of};
use crate::sampler::threads::OwnThread;
use crate::sys;

/// Which time a sample stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Time on a CPU: one value type, `cpu`. A thread that waits is not sampled.
    ///
    /// The kernel looks at CPU timers on its tick (100 to 1000 times a second). For a shorter period
    /// an event of `perf_event_open(2)` takes their place where the kernel lets us have one that counts
    /// its own part as well (`kernel.perf_event_paranoid` of 1 or less, or the capability
    /// `CAP_PERFMON`); it takes one descriptor for each thread. Where it does not, shorter periods
    /// arrive as event counts above 1: totals stay right and detail does not grow. And what runs in step
    /// with the tick, for example a thread that reads its own CPU clock and so ends its turn there, is
    /// seen too often or too rarely, as by every profiler on such timers.
    #[default]
    Cpu,
    /// Time that passes: two value types, `wall` and `cpu`. Each sample is charged with the time
    /// that its thread's clocks say has passed: time on a CPU goes to the samples that find the
    /// thread running, time off it, below a frame `[blocked]`, to those that find it waiting. Where
    /// the thread did not give up its CPU by itself (`ru_nvcsw` of `getrusage(2)`) it waited for
    /// one: `[runnable]`. What no sample was charged with in the end is `[between samples]`. So the
    /// values of each thread add up to what its clocks say, whatever the period.
    ///
    /// A sample may end a system call of its thread early (`EINTR`, signal(7)); std and the runtimes
    /// try again. A thread that is found waiting twice at one place is not asked again until it has
    /// run: it is counted by its clocks, and what it waited is told as one sample. A thousand threads
    /// that sleep cost 0.4 % of a core. A sample costs some 2 us more than on the CPU clock.
    Wall,
}

/// Which threads are sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Threads {
    /// The one that calls `start`.
    #[default]
    Current,
    /// All of the process, with those that start later; not the profiler's own.
    All,
}

/// A running profiler; [`stop`](Self::stop) hands out what it collected.
///
/// Dropping it stops it too; where there is a flush callback, that gets the rest, and the drop
/// waits for it. The callback itself may flush, stop and drop its profiler.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use flashlamp::{Clock, Profiler};
///
/// let profiler = Profiler::builder()
///     .clock(Clock::Cpu)
///     .period(Duration::from_millis(1))
///     .start()?;
/// let sum: u64 = (0..3_000_000_u64).map(|n| n.rotate_left(7) % 11).sum();
/// let log = profiler.stop();
/// println!("{sum}: {} samples\n{}", log.len(), log.folded());
/// # Ok::<(), flashlamp::StartError>(())
/// ```
#[derive(Debug)]
pub struct Profiler {
    process: &'static Process,
    session: u32,
    period: Period,
    clock: Clock,
    flush: Option<FlushThread>,
    stopped: bool,
}

/// How a [`Profiler`] is to sample.
#[must_use = "call `start`"]
pub struct ProfilerBuilder {
    clock: Clock,
    period: Duration,
    depth_max: usize,
    threads: Threads,
    on_flush: Option<(usize, FlushCallback)>,
}

type FlushCallback = Box<dyn FnMut(Log) + Send>;

impl std::fmt::Debug for ProfilerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProfilerBuilder")
            .field("clock", &self.clock)
            .field("period", &self.period)
            .field("max_depth", &self.depth_max)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Profiler {
    /// A builder: CPU clock, 10 ms, 250 frames, the current thread.
    pub fn builder() -> ProfilerBuilder {
        ProfilerBuilder {
            clock: Clock::Cpu,
            period: Duration::from_millis(10),
            depth_max: limits::DEPTH_DEFAULT,
            threads: Threads::Current,
            on_flush: None,
        }
    }

    /// Ends sampling and returns what was collected since the last flush. Symbolizes on the
    /// calling thread, which may take a second for a large program.
    ///
    /// In a forked child, where nothing was sampled, the log is empty.
    pub fn stop(mut self) -> Log {
        let Some(chunk) = self.end() else {
            return Log::empty(self.clock, self.period);
        };
        self.flush = None;
        self.log_of(&chunk)
    }

    /// A copy of what was collected since the last flush; sampling goes on. Empty in a forked
    /// child.
    pub fn log(&self) -> Log {
        let chunk = self.process.is_current().then(|| {
            let mut registry = self.process.lock();
            registry.drain_rings();
            registry.tell_waits(self.session);
            registry
                .sessions
                .get(&self.session)
                .map(crate::registry::Session::copy_chunk)
        });
        match chunk.flatten() {
            Some(chunk) => self.log_of(&chunk),
            None => Log::empty(self.clock, self.period),
        }
    }

    /// Takes what was collected since the last flush; sampling goes on with an empty log. The
    /// flush callback does not see these samples. Empty in a forked child.
    pub fn flush(&self) -> Log {
        let chunk = self.process.is_current().then(|| {
            let mut registry = self.process.lock();
            registry.drain_rings();
            registry.tell_waits(self.session);
            registry
                .sessions
                .get_mut(&self.session)
                .map(crate::registry::Session::take_chunk)
        });
        match chunk.flatten() {
            Some(chunk) => self.log_of(&chunk),
            None => Log::empty(self.clock, self.period),
        }
    }

    pub(crate) fn signal_value(&self) -> u64 {
        let registry = self.process.lock();
        registry
            .sessions
            .get(&self.session)
            .map_or(0, crate::registry::Session::signal_value)
    }

    /// Ends the session; `None` where it is ended already, and in a forked child, which must
    /// touch neither the parent's locks nor its flush thread.
    fn end(&mut self) -> Option<Chunk> {
        if !self.process.is_current() {
            if let Some(flush) = self.flush.take() {
                flush.abandon();
            }
            return None;
        }
        if std::mem::replace(&mut self.stopped, true) {
            return None;
        }
        let session = self.process.lock().finish(self.session);
        session.map(|mut session| session.take_chunk())
    }

    fn log_of(&self, chunk: &Chunk) -> Log {
        log_of(self.process, chunk, self.period)
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        let Some(chunk) = self.end() else { return };
        let Some(flush) = &self.flush else { return };
        if flush.shared.runs_here() {
            flush.shared.keep_rest(chunk);
        } else {
            flush.shared.call(self.log_of(&chunk));
        }
    }
}

/// The chunk with names. Debug information of any program is read for it: should that panic,
/// neither the host's thread nor the flush thread ends, and the samples are counted as lost.
fn log_of(process: &Process, chunk: &Chunk, period: Period) -> Log {
    let named = || named_log_of(process, chunk, period);
    catch_unwind(AssertUnwindSafe(named)).unwrap_or_else(|_| {
        let mut losses = chunk.losses.clone();
        *losses.entry(losses::UNACCOUNTED).or_default() += chunk.stored();
        Log::of_losses(chunk.clock, period, &losses)
    })
}

fn named_log_of(process: &Process, chunk: &Chunk, period: Period) -> Log {
    let detail = Detail {
        name: "",
        timeline: true,
        threads: true,
        entries: false,
        more_losses: &Losses::new(),
    };
    Log::new(profile_of(process, chunk, detail), period)
}

impl ProfilerBuilder {
    /// Which time a sample stands for; [`Clock::Cpu`] where it is not called.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The distance between samples, 50 us or more; the first comes uniformly in (0, period].
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Frames of one sample at most, 1,024 or fewer. Deeper callers become one marker frame,
    /// `[truncated]`, at the root; the leaf is never cut.
    pub fn max_depth(mut self, frames: usize) -> Self {
        self.depth_max = frames;
        self
    }

    /// Which threads are sampled; [`Threads::Current`] where it is not called.
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Calls `callback` with a log whenever `samples` samples are there, on a thread of the
    /// profiler's own (`flashlamp-flush`). While it is slow, samples collect up to a bound and
    /// are then counted as lost.
    pub fn on_flush(mut self, samples: usize, callback: impl FnMut(Log) + Send + 'static) -> Self {
        self.on_flush = Some((samples.max(1), Box::new(callback)));
        self
    }

    /// Starts sampling.
    ///
    /// # Errors
    /// As [`StartError`] says; then nothing is sampled.
    pub fn start(self) -> Result<Profiler, StartError> {
        let period = checked_period(self.period)?;
        if self.depth_max == 0 {
            return Err(StartError::DepthZero);
        }
        let process = Process::current();
        let (flush_at, flush) = match self.on_flush {
            Some((samples, callback)) => {
                let (to, from) = sync_channel(2);
                let thread = FlushThread::spawn(process, from, to.clone(), callback, period)?;
                (Some(FlushAt { samples, to }), Some(thread))
            }
            None => (None, None),
        };
        let plan = Plan {
            clock: self.clock,
            period_ns: period.as_nanos(),
            depth_max: self.depth_max.min(limits::DEPTH_MAX),
            threads: match self.threads {
                Threads::Current => SessionThreads::One(sys::tid()),
                Threads::All => SessionThreads::All,
            },
            samples_max: limits::SESSION_SAMPLES_MAX,
            flush_at,
            window: None,
        };
        let session = start_session(process, plan)?;
        Ok(Profiler {
            process,
            session,
            period,
            clock: self.clock,
            flush,
            stopped: false,
        })
    }
}

/// A period that sampling can have.
pub(crate) fn checked_period(period: Duration) -> Result<Period, StartError> {
    let checked = Period::from_duration(period).ok_or(StartError::PeriodZero)?;
    if period < limits::PERIOD_MIN {
        let min_us = clock::nanos(limits::PERIOD_MIN) / 1000;
        return Err(StartError::PeriodTooShort { min_us });
    }
    Ok(checked)
}

/// The thread that runs a flush callback.
#[derive(Debug)]
struct FlushThread {
    shared: Arc<FlushShared>,
    /// Keeps the channel open until the rest is kept; dropped before the join.
    to: Option<SyncSender<Chunk>>,
    thread: Option<JoinHandle<()>>,
}

/// What the flush thread and its profiler share.
#[derive(Debug)]
struct FlushShared {
    callback: Mutex<Callback>,
    /// The thread that runs the callback now, 0 for none. That thread holds the callback's lock
    /// and must not wait for it.
    running_on: AtomicI32,
    /// What was left when the callback dropped its own profiler.
    rest: Mutex<Option<Chunk>>,
}

struct Callback(FlushCallback);

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback")
    }
}

impl FlushThread {
    fn spawn(
        process: &'static Process,
        from: Receiver<Chunk>,
        to: SyncSender<Chunk>,
        callback: FlushCallback,
        period: Period,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(FlushShared {
            callback: Mutex::new(Callback(callback)),
            running_on: AtomicI32::new(0),
            rest: Mutex::new(None),
        });
        let of_thread = Arc::clone(&shared);
        let name = "flashlamp-flush";
        let body = move || {
            let own = OwnThread::enter();
            let call = |chunk: Chunk| {
                let log = log_of(process, &chunk, period);
                own.run_for_host(|| of_thread.call(log));
            };
            from.into_iter().for_each(call);
            of_thread.take_rest().into_iter().for_each(call);
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body);
        let thread = thread.map_err(|source| StartError::ThreadRefused { name, source })?;
        Ok(Self {
            shared,
            to: Some(to),
            thread: Some(thread),
        })
    }

    /// Leaves everything where it is, in a forked child: the thread does not exist there, so it
    /// cannot be joined, and it may have held the channel's lock when the process forked.
    fn abandon(self) {
        let _leaked = std::mem::ManuallyDrop::new(self);
    }
}

impl FlushShared {
    /// Calls the callback; waits for a call on another thread to end.
    fn call(&self, log: Log) {
        let mut callback = self.callback.lock().unwrap_or_else(PoisonError::into_inner);
        self.running_on.store(sys::tid(), Ordering::Relaxed);
        // A panicking callback is its author's bug, and no reason to end the host's thread.
        let run = AssertUnwindSafe(|| (callback.0)(log));
        let ended = catch_unwind(run);
        self.running_on.store(0, Ordering::Relaxed);
        drop(ended);
    }

    /// Whether the calling thread is within the callback. Only the thread itself writes its id,
    /// so the answer needs no ordering.
    fn runs_here(&self) -> bool {
        self.running_on.load(Ordering::Relaxed) == sys::tid()
    }

    /// Keeps the last chunk for the flush thread, which calls the callback with it when its
    /// channel is closed and empty.
    fn keep_rest(&self, chunk: Chunk) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(chunk);
    }

    fn take_rest(&self) -> Option<Chunk> {
        self.rest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for FlushThread {
    fn drop(&mut self) {
        // The session, which had the other sender, has ended: the thread empties the channel
        // and leaves. A callback that stops or drops its own profiler must not wait for itself:
        // the thread then leaves after it.
        self.to = None;
        if let Some(thread) = self.thread.take()
            && !self.shared.runs_here()
            && thread.thread().id() != std::thread::current().id()
        {
            drop(thread.join());
        }
    }
}
