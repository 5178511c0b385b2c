//! What every request can reach.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::ApiError;
use crate::hosts::Hosts;
use crate::limits;
use crate::metrics::Metrics;
use crate::reading::{Readers, blocking};
use crate::shutdown::Tasks;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Batch, Store, WriteError};

/// The collector's parts, shared by all requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) tasks: Tasks,
    pub(crate) body_time_max: Duration,
    pub(crate) hosts: Arc<Hosts>,
    public_url: Arc<str>,
    pub(crate) readers: Readers,
    decoders: Arc<Semaphore>,
}

impl AppState {
    /// Opens the data folder. `public_url` has no slash at its end.
    ///
    /// # Errors
    /// As [`OpenError`].
    pub fn open(config: &Config, public_url: &str) -> Result<Self, OpenError> {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.data, config.store)?);
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self {
            store: Arc::clone(&store),
            clock: config.clock.clone(),
            metrics: Arc::default(),
            budget: Budget::new(config.decode_budget_bytes),
            tasks: Tasks::new(),
            body_time_max: config.body_time_max,
            hosts: Arc::new(Hosts::of(config)),
            public_url: public_url.into(),
            decoders: Arc::new(Semaphore::new(cores.min(limits::DECODERS_MAX))),
            readers: Readers::new(config, store),
        })
    }

    /// How browsers reach the collector, without a slash at the end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The store, for those who look at it from outside: tests, and compaction by hand.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Runs a piece of decoding on a thread that may block, one for each core at a time.
    ///
    /// # Errors
    /// What `work` says.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let decoders = Arc::clone(&self.decoders);
        let decoding = decoders
            .acquire_owned()
            .await
            .map_err(|error| ApiError::internal(&error))?;
        blocking(move || {
            // Held until the work is done, also where the one who sent it has gone by then.
            let _decoding = decoding;
            work()
        })
        .await
    }

    /// Writes a batch and counts it once it is on the disk, also where the one who asked has gone
    /// by then: what is stored and what is counted stay the same.
    ///
    /// # Errors
    /// As [`WriteError`].
    pub(crate) async fn write(
        &self,
        batch: Batch,
        count: impl FnOnce(&Metrics) + Send + 'static,
    ) -> Result<(), WriteError> {
        let commit = self.store.write(batch)?;
        let (answer, answered) = oneshot::channel();
        let metrics = Arc::clone(&self.metrics);
        self.tasks.spawn(async move {
            let written = commit.durable().await;
            if written.is_ok() {
                count(&metrics);
            }
            // Nobody may be there to hear it.
            let _ = answer.send(written);
        });
        answered.await.unwrap_or(Err(WriteError::Closed))
    }
}
