//! Flashlamp's agent: samples the program that it is linked into.
//!
//! - [`Profiler`] is for a stretch of code: start it, stop it, look at the [`Log`].
//! - `Agent` (feature `http`) is for a service: all threads continuously, single requests on
//!   demand, both sent to a collector.
//! - [`PerfMap`] names code that is compiled at run time, for `perf` and for our own profiles.
//!
//! Each sampled thread has a timer in the kernel that signals that very thread. The handler
//! walks the stack by the unwind tables that every binary has (no frame pointers needed), writes
//! a record into the thread's ring, and returns; it takes no lock, allocates nothing and formats
//! nothing. A thread of ours (`flashlamp-drain`) empties the rings; names are looked up later
//! still. What is lost on the way is counted: `taken = stored + lost + in flight`, in samples
//! and in event counts.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use flashlamp::Profiler;
//!
//! let profiler = Profiler::builder().period(Duration::from_millis(1)).start()?;
//! let sum: f64 = (1..2_000_000).map(|n| f64::from(n).sqrt()).sum();
//! let log = profiler.stop();
//! println!("{sum} took {} samples of {} ns", log.event_count().as_u64(), log.period().as_nanos());
//! for row in log.by_function().iter().take(10) {
//!     println!("{:>6} {}", row.total, row.name);
//! }
//! # Ok::<(), flashlamp::StartError>(())
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `http` | yes | `Agent`, and export by HTTP |
//! | `https` | | the same over TLS |
//! | `tower` | yes | the request layer, and profiles by pull (needs `http`) |
//! | `axum` | | route templates of axum as entry points, and routes for pull (needs `tower`) |
//! | `symbolize` | yes | names; without it frames are `object+0xoffset` |
//!
//! # Where it works
//!
//! Linux on `x86_64`, glibc. Elsewhere it compiles for Linux only, and starting is a
//! [`StartError`].

#![cfg_attr(
    not(feature = "tower"),
    expect(
        dead_code,
        reason = "what serves the agent and its request layer stands idle"
    )
)]

#[cfg(feature = "http")]
mod agent;
#[doc(hidden)]
pub mod bench_support;
mod clock;
mod collection;
#[cfg(feature = "http")]
mod config;
mod drain;
mod entries;
mod error;
#[cfg(feature = "http")]
mod export;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz_support;
mod limits;
mod log;
mod mappings;
mod maps;
mod perf_map;
mod process;
mod profiler;
#[cfg(feature = "tower")]
mod pull;
mod registry;
#[cfg(feature = "tower")]
mod request;
mod resolve;
mod ring;
mod sampler;
mod symbolize;
mod sys;
mod unwind;

pub use flashlamp_profile as profile;

#[cfg(feature = "http")]
pub use self::agent::{Agent, AgentBuilder, Stats};
pub use self::error::StartError;
pub use self::log::{Log, LogEntry, LogIter};
pub use self::perf_map::{PerfMap, PerfMapError, RegisteredCode};
pub use self::profiler::{Clock, Profiler, ProfilerBuilder, Threads};
#[cfg(feature = "tower")]
pub use self::pull::{PprofBody, PprofFuture, PprofService};
#[cfg(feature = "tower")]
pub use self::request::{EntryPoint, ProfiledBody, RequestFuture, RequestLayer, RequestService};

/// The programs of the README, compiled as they stand there.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
mod readme {}
