//! Flashlamp's agent.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod clock;
mod collection;
mod drain;
mod entries;
mod error;
mod limits;
mod log;
mod mappings;
mod perf_map;
mod process;
mod profiler;
#[cfg(feature = "tower")]
mod request;
mod registry;
mod resolve;
mod ring;
mod sampler;
#[cfg(feature = "http")]
mod skeleton;
mod symbolize;
mod sys;
mod unwind;

#[cfg(feature = "http")]
pub use self::skeleton::*;
pub use self::error::StartError;
pub use self::log::{Log, LogEntry, LogIter};
pub use self::perf_map::{PerfMap, PerfMapError, RegisteredCode};
pub use self::profiler::{Clock, Profiler, ProfilerBuilder, Threads};
pub use flashlamp_profile as profile;
