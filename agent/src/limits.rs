//! Every bound of the agent in one place, each with its reason.

use std::time::Duration;

/// Words of one thread's ring (128 KiB): at 1 kHz and 100 frames it holds 150 ms.
pub(crate) const RING_WORDS: usize = 16 * 1024;
/// Threads that can have a slot at once: 142 KiB each when all of it is in use.
pub(crate) const THREADS_MAX: usize = 4096;
/// Timers of all sessions together; the handler finds its timer through a static table.
pub(crate) const TIMERS_MAX: usize = 16 * 1024;
/// Frames of one sample where the builder does not say.
pub(crate) const DEPTH_DEFAULT: usize = 250;
/// Frames of one sample at most: a record must stay far below the ring's size.
pub(crate) const DEPTH_MAX: usize = 1024;
/// Words of the stack that one fault-safe read copies (4 KiB).
pub(crate) const STACK_WINDOW_WORDS: usize = 512;
/// Fault-safe reads of one sample: bounds the handler at about 100 us even on a wild stack.
pub(crate) const STACK_READS_MAX: u32 = 64;

/// Room that an alternate signal stack needs below the interrupted code for its whole stack to
/// be walked: our handler takes 2 KiB, 8 KiB without optimization, and the kernel 3 KiB above it for
/// the registers, more where they are wider.
pub(crate) const ALTERNATE_STACK_ROOM: u64 = if cfg!(debug_assertions) { 16 } else { 8 } << 10;

/// CPU time that a thread may use and still count as waiting where it was: the kernel's part of a
/// signal and our handler's, and what a runtime does before it waits again.
pub(crate) const STILL_NS: u64 = 100_000;
/// A signal that comes this much after its timer expired was held up: by a wait that signals do not
/// end, or because the thread had no core.
pub(crate) const LATE_NS: u64 = 200_000;
/// Time off a CPU, of a sample of a thread that never gave it up, that is worth a row of its own:
/// below it is what interrupts and the two clocks' steps differ by.
pub(crate) const RUNNABLE_NS: u64 = 50_000;
/// Looks at a paused thread that waits again, until it is asked where, at most.
pub(crate) const PATIENCE_MAX: u32 = 8;
/// Looks at paused threads in a second: at a microsecond each, with the caches cold, they take 0.15 %
/// of a core.
pub(crate) const LOOKS_PER_SECOND: u64 = 1_500;

/// The shortest period: below it the signals alone take most of the thread's time.
pub(crate) const PERIOD_MIN: Duration = Duration::from_micros(50);

/// The longest period of a request profile: most requests are over by then.
#[cfg(feature = "tower")]
pub(crate) const REQUEST_PERIOD_MAX: Duration = Duration::from_secs(1);

/// Profiles that are taken by pull at once: a scraper's on each clock, a second scraper's while the
/// first is being replaced, and a person's.
#[cfg(feature = "tower")]
pub(crate) const PULLS_MAX: usize = 4;
/// Seconds of a pulled profile where the query does not say: as in Go.
#[cfg(feature = "tower")]
pub(crate) const PULL_SECONDS_DEFAULT: u64 = 30;
/// Seconds of a pulled profile at most: as long as a request's.
#[cfg(feature = "tower")]
pub(crate) const PULL_SECONDS_MAX: u64 = 300;
/// The period of a pulled profile where the query does not say: as in Go.
#[cfg(feature = "tower")]
pub(crate) const PULL_PERIOD_DEFAULT: Duration = Duration::from_millis(10);
/// The shortest period of a pulled profile: all threads are sampled, by whoever asks.
#[cfg(feature = "tower")]
pub(crate) const PULL_PERIOD_MIN: Duration = Duration::from_millis(1);
/// The longest period of a pulled profile, which has to have some samples.
#[cfg(feature = "tower")]
pub(crate) const PULL_PERIOD_MAX: Duration = Duration::from_secs(1);
/// Samples of one pulled profile (20 MB): 64 busy threads at 100 Hz for 78 s.
#[cfg(feature = "tower")]
pub(crate) const PULL_SAMPLES_MAX: usize = 500_000;

/// Samples that one profiler keeps until it is stopped or flushed (about 40 bytes each).
pub(crate) const SESSION_SAMPLES_MAX: usize = 1_000_000;
/// Samples of one continuous window: 64 threads at 1 kHz for 3 s, or at 100 Hz for 30 s.
pub(crate) const WINDOW_SAMPLES_MAX: usize = 200_000;
/// Samples of one request profile: 100 s of one thread at 1 kHz.
pub(crate) const REQUEST_SAMPLES_MAX: usize = 100_000;
/// Time of one request profile: a response that never ends (a stream of events) must not hold
/// one of the places for good.
pub(crate) const REQUEST_DURATION_MAX: Duration = Duration::from_secs(300);
/// Gaps between polls that a request profile keeps apart; later ones go into the last.
pub(crate) const REQUEST_GAPS_MAX: usize = 10_000;
/// Distinct stack nodes and addresses of one collection.
pub(crate) const STACK_NODES_MAX: usize = 1_000_000;

/// Requests profiled at the same time where the builder does not say.
pub(crate) const PROFILED_REQUESTS_MAX: usize = 8;
/// Names of entry points in one process; what exceeds it is called `(other)`.
pub(crate) const ENTRY_NAMES_MAX: usize = 2048;
/// Bytes of an entry point's or a request's name: as many as the collector takes.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Functions in the JIT map, with those that were unregistered a moment ago.
pub(crate) const JIT_FUNCTIONS_MAX: usize = 1_000_000;

/// Length of a continuous window.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// Windows and request profiles that wait for the collector: ten minutes of an outage.
pub(crate) const QUEUE_ITEMS_MAX: usize = 64;
/// Samples and stack nodes that wait for the collector (about 40 bytes each): 40 MB, or one
/// piece where that alone is larger.
pub(crate) const QUEUE_SIZE_MAX: usize = 1_000_000;
/// The first wait after a failed delivery; it doubles from there.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait after a failed delivery or for a `Retry-After`.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// One HTTP exchange, from connecting to the end of the answer.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(10);
/// What dropping an agent may take to deliver the rest.
pub(crate) const DROP_FLUSH: Duration = Duration::from_secs(2);

/// The drain comes at most this often, however short the period is.
pub(crate) const DRAIN_INTERVAL_MIN: Duration = Duration::from_millis(5);
/// The drain comes at least this often while a session runs.
pub(crate) const DRAIN_INTERVAL_MAX: Duration = Duration::from_millis(100);
/// How often threads that started later are looked for, while there are few.
pub(crate) const THREAD_SCAN_INTERVAL: Duration = Duration::from_millis(50);
/// How many times as long as it took to list and compare them the next time waits: that takes a
/// thousandth of a core. A thousand threads take 1 ms and are listed every second.
pub(crate) const THREAD_SCAN_COST: u64 = 1_000;
/// How long the next listing waits at most, for each thread there is: a few threads are looked for
/// often, however long a busy machine takes.
pub(crate) const THREAD_SCAN_PAUSE: Duration = Duration::from_millis(1);
/// How often threads are listed at least.
pub(crate) const THREAD_SCAN_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often the list of loaded objects is compared with the loader's counters.
pub(crate) const MODULE_CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// How long the memory map is not looked at again where looks bring no news: with thousands of
/// threads one takes milliseconds.
pub(crate) const MAPS_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long a start waits for its first signal: it is there within microseconds, or never.
pub(crate) const SIGNAL_WAIT: Duration = Duration::from_secs(1);
/// How long ending a session waits for a handler that is still running.
pub(crate) const HANDLER_WAIT: Duration = Duration::from_millis(500);

/// Bytes of `.eh_frame` of one object that are copied.
pub(crate) const EH_FRAME_BYTES_MAX: usize = 256 << 20;
/// Bytes of names that were found and are kept (some 100,000 addresses); when it is full it starts
/// anew.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_NAMES_BYTES_MAX: usize = 16 << 20;
/// Object files that the symbolizer remembers; a process with more than a few hundred libraries at
/// once is unheard of, one that reloads plugins is not.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_FILES_MAX: usize = 256;
/// Bytes that are kept to know where in files to look, for units and functions: 1 or 2 for each 100
/// of a file. What exceeds this is read again for each profile.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_INDEX_BYTES_MAX: usize = 8 << 20;
/// Addresses of one file that are looked up together: what is found is held until all are.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_BATCH: usize = 4096;
/// Bytes of debug information that are read at once.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_BLOCK_BYTES: usize = 4096;
/// Blocks of one section that are kept while a file is open (1 MiB); some ten sections are read.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_BLOCKS_KEPT: usize = 256;
/// Units that are kept open because others take names from them: link-time optimization does so.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_UNITS_KEPT: usize = 16;
/// Bytes of compressed debug information after inflating: it cannot be read in pieces, so a file
/// that takes more goes without lines and inlined functions.
#[cfg(feature = "symbolize")]
pub(crate) const SYMBOL_INFLATED_BYTES_MAX: usize = 40 << 20;
/// Bytes of the kernel's vDSO; it has two to five pages.
#[cfg(feature = "symbolize")]
pub(crate) const VDSO_BYTES_MAX: usize = 1 << 20;
/// Bytes of one function's name; longer ones are cut.
pub(crate) const SYMBOL_BYTES_MAX: usize = 4096;
