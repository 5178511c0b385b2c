//! `Agent`: continuous sampling of a service, and its profiled requests, to a collector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flashlamp_profile::Tally;

use crate::clock::{self, Anchor};
pub use crate::config::AgentBuilder;
use crate::config::Config;
use crate::drain::start_session;
use crate::error::StartError;
use crate::export::{self, Collector, Ledger, Queue};
use crate::limits;
use crate::process::Process;
use crate::registry::{Plan, SessionThreads, Window};

/// A running agent: all threads continuously, on the CPU clock or on both, and single requests on
/// both clocks when they ask for it; all goes to the collector.
///
/// Dropping it stops it, with up to two seconds to deliver the rest;
/// [`shutdown`](Self::shutdown) says how it went. After the start nothing fails any more: what
/// cannot be sampled, kept or sent is counted, see [`stats`](Self::stats).
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
///
/// let agent = flashlamp::Agent::builder()
///     .service("shop")
///     .collector("http://127.0.0.1:4140")
///     .period(Duration::from_millis(10))
///     .start()?;
/// // … serve …
/// let stats = agent.shutdown(Duration::from_secs(5));
/// println!("{stats:?}");
/// # Ok::<(), flashlamp::StartError>(())
/// ```
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
}

/// What the agent shares with the request layers that it handed out.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) process: &'static Process,
    pub(crate) queue: Arc<Queue>,
    pub(crate) public_url: String,
    pub(crate) unsigned_toggles: bool,
    pub(crate) profiled_requests_max: usize,
    /// Requests that are being profiled, or wait for the last of their samples.
    pub(crate) profiled_requests: AtomicUsize,
    pub(crate) stopped: AtomicBool,
    /// Profiles that are taken by pull.
    #[cfg(feature = "tower")]
    pulls: Arc<crate::pull::Pulls>,
    session: u32,
}

/// What an agent took, and what became of it, in samples and event counts:
/// `taken = stored + lost + in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Taken by timers. A profiled request counts when it ends; its gaps do not: they are
    /// measured, not sampled.
    pub taken: Tally,
    /// Acknowledged by the collector.
    pub stored: Tally,
    /// Lost, by reason.
    pub lost: BTreeMap<String, Tally>,
    /// In a ring, a window or the queue.
    pub in_flight: Tally,
    /// Threads that could not be sampled, right now.
    pub threads_missed: usize,
    /// Whether something else has installed its handler for `SIGPROF`: from then on it gets the
    /// signals of the agent's timers, and there are no samples.
    pub handler_replaced: bool,
    /// Panics caught on the agent's own threads.
    pub faults: u64,
}

impl Stats {
    /// All losses together.
    pub fn lost_total(&self) -> Tally {
        self.lost.values().copied().sum()
    }
}

impl Agent {
    /// A builder; what it is not told it takes from `FLASHLAMP_*` variables.
    pub fn builder() -> AgentBuilder {
        AgentBuilder::default()
    }

    pub(crate) fn start(config: Config) -> Result<Self, StartError> {
        let process = Process::current();
        let queue = Arc::new(Queue::new(limits::WINDOW));
        let sink: Arc<dyn crate::registry::WindowSink> = Arc::<Queue>::clone(&queue);
        let plan = Plan {
            clock: config.clock,
            period_ns: config.period.as_nanos(),
            depth_max: limits::DEPTH_DEFAULT,
            threads: SessionThreads::All,
            samples_max: limits::WINDOW_SAMPLES_MAX,
            flush_at: None,
            window: Some(Window::begin(
                sink,
                clock::nanos(limits::WINDOW),
                Anchor::now(),
            )),
        };
        let session = start_session(process, plan)?;
        let collector = Collector::new(&config.collector, &config.service);
        if let Err(error) = export::spawn(process, Arc::clone(&queue), collector) {
            process.lock().finish(session);
            return Err(error);
        }
        let shared = Shared {
            process,
            queue,
            public_url: config.public_url,
            unsigned_toggles: config.unsigned_toggles,
            profiled_requests_max: config.profiled_requests_max,
            profiled_requests: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            #[cfg(feature = "tower")]
            pulls: Arc::new(crate::pull::Pulls::new(process)),
            session,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A tower layer for the service's router: marks threads with the entry point that they
    /// work for, and profiles requests that carry `X-Flashlamp: profile`.
    ///
    /// ```no_run
    /// # fn routes() -> axum::Router { axum::Router::new() }
    /// # let agent = flashlamp::Agent::builder().start()?;
    /// let app = routes().layer(agent.request_layer());
    /// # let _: axum::Router = app;
    /// # Ok::<(), flashlamp::StartError>(())
    /// ```
    #[cfg(feature = "tower")]
    pub fn request_layer(&self) -> crate::RequestLayer {
        crate::RequestLayer::new(Arc::clone(&self.shared))
    }

    /// Routes of axum for who fetches profiles: `go tool pprof`, Parca, Pyroscope. They are
    /// `/debug/pprof/profile` and the others of [`PprofService`](crate::PprofService).
    ///
    /// They show names of functions and files, and whoever reaches them can have the service
    /// sampled: serve them on an administrator's listener.
    ///
    /// ```no_run
    /// # async fn run(agent: flashlamp::Agent) -> std::io::Result<()> {
    /// let admin: axum::Router = agent.pprof_routes();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:6060").await?;
    /// axum::serve(listener, admin).await
    /// # }
    /// ```
    ///
    /// ```console
    /// $ go tool pprof 'http://127.0.0.1:6060/debug/pprof/profile?seconds=5'
    /// ```
    #[cfg(feature = "axum")]
    pub fn pprof_routes<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        self.pprof_service().into_routes()
    }

    /// The same as a tower service, for hyper and other frameworks. It stops with the agent; its
    /// samples are no part of [`stats`](Self::stats): their accounts are in the profiles.
    #[cfg(feature = "tower")]
    pub fn pprof_service(&self) -> crate::PprofService {
        crate::PprofService::of(Arc::clone(&self.shared.pulls))
    }

    /// What was taken, stored and lost so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Sends what was taken so far, without waiting for the window's end. True when all of it
    /// was stored or counted as lost within `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        if !self.shared.process.is_current() {
            return false;
        }
        let until = clock::monotonic_ns().saturating_add(clock::nanos(timeout));
        let mut registry = self.shared.process.lock();
        registry.cycle();
        registry.tell_waits(self.shared.session);
        if let Some(session) = registry.sessions.get_mut(&self.shared.session) {
            session.seal_window(true);
        }
        drop(registry);
        let left = until.saturating_sub(clock::monotonic_ns());
        self.shared.queue.flush(Duration::from_nanos(left))
    }

    /// Ends sampling and delivers the rest; what is not delivered within `timeout` is counted
    /// as lost. Request layers let every request through from here on.
    pub fn shutdown(self, timeout: Duration) -> Stats {
        self.shared.stop(timeout);
        self.shared.stats()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.stop(limits::DROP_FLUSH);
    }
}

impl Shared {
    /// One without a session, which sends to nobody.
    #[cfg(all(test, feature = "tower"))]
    pub(crate) fn idle(process: &'static Process) -> Self {
        Self {
            process,
            queue: Arc::new(Queue::new(limits::WINDOW)),
            public_url: String::new(),
            unsigned_toggles: true,
            profiled_requests_max: 1,
            profiled_requests: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            pulls: Arc::new(crate::pull::Pulls::new(process)),
            session: 0,
        }
    }

    /// Whether requests can be profiled.
    #[cfg(feature = "tower")]
    pub(crate) fn is_running(&self) -> bool {
        !self.stopped.load(Ordering::Acquire) && self.process.is_current()
    }

    fn stop(&self, timeout: Duration) {
        // In a forked child nothing runs, and locks may be held by threads that are not there.
        if !self.process.is_current() || self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        #[cfg(feature = "tower")]
        self.pulls.stop();
        let mut registry = self.process.lock();
        registry.cycle();
        let session = registry.finish(self.session);
        if let Some(mut session) = session {
            let (totals, lost) = session.books();
            self.queue.enter(|ledger| {
                ledger.ended_taken += totals.counts.taken;
                ledger.add_ended_losses(&lost);
            });
            session.seal_rest();
        }
        drop(registry);
        self.queue.close(timeout);
    }

    fn stats(&self) -> Stats {
        if !self.process.is_current() {
            return Stats::default();
        }
        // The registry's lock keeps samples from moving between the books meanwhile.
        let mut registry = self.process.lock();
        registry.drain_rings();
        let ledger: Ledger = self.queue.ledger();
        let mut stats = Stats {
            taken: ledger.requests_taken + ledger.ended_taken,
            stored: ledger.stored,
            in_flight: ledger.waiting,
            handler_replaced: registry.handler_replaced,
            faults: registry.faults,
            ..Stats::default()
        };
        let mut all = vec![ledger.lost, ledger.ended_lost];
        if let Some(session) = registry.sessions.get(&self.session) {
            let (totals, lost) = session.books();
            stats.taken += totals.counts.taken;
            stats.in_flight += totals.undrained() + session.collected();
            stats.threads_missed = session.missed_threads.len();
            all.push(lost);
        }
        drop(registry);
        for (reason, tally) in all.into_iter().flatten() {
            *stats.lost.entry(reason.to_owned()).or_default() += tally;
        }
        stats
    }
}

/// The name of the running program, for a service that did not say its own.
pub(crate) fn program_name() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}
