//! The collector: takes profiles over HTTP, keeps them, and shows them as flame graphs.
//!
//! ```text
//!  POST ──► ingest ──► store (one writer, group commit, fsync) ──► 2xx
//!                        │  ▲
//!                        │  └── compact: deltas ──► parts of the hour and of the day
//!                        ▼
//!  GET  ◄── routes ◄── query: deltas + parts, in one snapshot
//! ```
//!
//! What is guaranteed:
//! - an answer of success follows the fsync of what it acknowledges;
//! - nothing is stored of a request that is refused;
//! - the sum of an hour or a day is exact, whenever compaction runs and wherever it is killed;
//! - every buffer has a bound in [`limits`].
//!
//! API.md describes the HTTP side. [`serve`] is the whole program, [`Collector`] the same in two
//! steps, [`router`] the routes alone.
//!
//! # Example
//!
//! ```no_run
//! use flashlamp_collector::{Collector, Config};
//!
//! # async fn run() -> Result<(), flashlamp_collector::ServeError> {
//! let collector = Collector::bind(Config::new("127.0.0.1:0", "flashlamp-data")).await?;
//! println!("listening on {}", collector.url());
//! collector.run(async { /* until this ends */ }).await
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod allowance;
pub mod budget;
pub mod catalogue;
pub mod clock;
pub mod compact;
pub mod config;
mod connections;
pub mod error;
pub mod hosts;
pub mod ingest;
pub mod limits;
pub mod metrics;
pub mod profiles;
pub mod random;
mod reading;
mod routes;
pub mod series;
mod server;
pub mod shutdown;
pub mod state;
pub mod store;
pub mod time;

pub use self::config::Config;
pub use self::routes::router;
pub use self::server::{Collector, ServeError, serve};
pub use self::state::AppState;
