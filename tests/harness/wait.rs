//! Waits for a condition until a deadline.
//!
//! Tests never sleep for a guessed time: they ask for what they wait for, often, and give up
//! with the name of what did not come true. Deadlines are generous, because a machine may be
//! busy; a passing test does not pay for them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long the tests wait for something that takes milliseconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

/// How long to pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `look` until it gives something, for at most `within`.
///
/// # Errors
/// When the time is over; the message names `what`.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let started = now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if started.elapsed() > within {
            bail!("{what}: still not so after {within:?}");
        }
        thread::park_timeout(PAUSE);
    }
}

/// The time of a monotonic clock, for deadlines and for measuring.
#[expect(clippy::disallowed_methods, reason = "the one clock of the tests")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}
