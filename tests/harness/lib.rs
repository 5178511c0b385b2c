//! What the end-to-end tests stand on: real programs as children, real HTTP, a real browser.
//!
//! The tests run what a user runs: the release build of the `flashlamp` program, of the demo
//! and of the examples ([`programs`]), each as a child on a free port with its data in a
//! temporary folder ([`process`], [`collector`]). Nothing sleeps: a test waits for a condition
//! until a deadline ([`wait`]) and says which condition did not come true.
//!
//! A test that needs something this machine does not have calls [`skip`](fn@skip), which says so, and
//! which fails where `CI=true`.

pub mod browser;
pub mod clock;
pub mod collector;
pub mod data;
pub mod demo;
pub mod folded;
pub mod http;
pub mod load;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod senders;
mod skip;
pub mod wait;

pub use skip::skip;
