//! What time it is, for everything in the collector: injectable, so that tests can travel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flashlamp_profile::Timestamp;

/// A source of UTC time.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until [`Clock::set`] moves it. Clones move together.
    pub fn manual(now: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicU64::new(now.as_nanos()))))
    }

    /// Moves a manual clock, forward or back. The system's clock stays as it is.
    pub fn set(&self, now: Timestamp) {
        if let Some(manual) = &self.0 {
            manual.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.0.as_ref().map_or_else(system_now, |manual| {
            Timestamp::from_nanos(manual.load(Ordering::Relaxed))
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clock"
)]
fn system_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
