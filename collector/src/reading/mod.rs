//! Reading: who may, when, and with how much memory.
//!
//! Queries and pages take turns, and wait in a line that has an end. Small answers are made side by
//! side; one that outgrows its allowance is begun again when no other large one is made.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::allowance::Allowance;
use crate::budget::Budget;
use crate::config::Config;
use crate::error::ApiError;
use crate::limits;
use crate::store::{Snapshot, Store};

/// A piece of reading that says what memory it uses, and may be begun twice.
pub(crate) trait Work<T>:
    Fn(&dyn Snapshot, &mut Allowance) -> Result<T, ApiError> + Send + Sync + 'static
{
}

impl<T, F> Work<T> for F where
    F: Fn(&dyn Snapshot, &mut Allowance) -> Result<T, ApiError> + Send + Sync + 'static
{
}

/// The turns of those who read, and the memory for what they make. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    store: Arc<dyn Store>,
    turns: Arc<Semaphore>,
    /// Those who have a turn, and those who wait for one.
    places: Arc<Semaphore>,
    small_answers: Arc<Budget>,
    small_answer_bytes: usize,
    large_answers: Arc<Budget>,
    large_turn: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(config: &Config, store: Arc<dyn Store>) -> Self {
        let places = limits::READS_MAX + limits::READS_WAITING_MAX;
        let small = config.small_answer_bytes;
        Self {
            store,
            turns: Arc::new(Semaphore::new(limits::READS_MAX)),
            places: Arc::new(Semaphore::new(places)),
            small_answers: Budget::new(limits::SMALL_ANSWERS.saturating_mul(small)),
            small_answer_bytes: usize::try_from(small).unwrap_or(usize::MAX),
            large_answers: Budget::new(config.large_answer_bytes),
            large_turn: Arc::new(Semaphore::new(1)),
            probes: Arc::new(Semaphore::new(limits::PROBES_MAX)),
        }
    }

    /// How many bytes answers take that are being made or sent.
    pub(crate) fn answers_bytes(&self) -> u64 {
        self.small_answers.taken() + self.large_answers.taken()
    }

    /// Runs a piece of reading on a thread that may block, with a snapshot of the store: for
    /// answers whose size has a small bound of its own.
    ///
    /// # Errors
    /// `overloaded` where too many wait already, and what `work` says.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let waiting = self.place_in_line()?;
        let readers = Arc::clone(&self.turns);
        let reading = readers
            .acquire_owned()
            .await
            .map_err(|error| ApiError::internal(&error))?;
        let permits = (waiting, reading);
        let work = move |snapshot: &dyn Snapshot| {
            // Held until the work is done, also where the one who asked has gone by then.
            let _permits = permits;
            work(snapshot)
        };
        self.look(work).await
    }

    /// As [`Self::read`], for what takes memory, and no longer than somebody waits for it: first
    /// as a small answer beside others, and where that is outgrown once more, as the only large
    /// one. What `work` made comes with the allowance for it.
    ///
    /// # Errors
    /// `overloaded`, `answer_too_large`, and what `work` says.
    pub(crate) async fn read_within<T: Send + 'static>(
        &self,
        work: impl Work<T>,
    ) -> Result<(T, Allowance), ApiError> {
        let gone = CancellationToken::new();
        // The server drops this future, and the guard with it, when the client has gone.
        let waited_for = gone.clone().drop_guard();
        let made = self.small_or_large(Arc::new(work), &gone).await;
        waited_for.disarm();
        made
    }

    async fn small_or_large<T: Send + 'static>(
        &self,
        work: Arc<impl Work<T>>,
        gone: &CancellationToken,
    ) -> Result<(T, Allowance), ApiError> {
        let small_max = self.small_answer_bytes;
        let small = Allowance::at_most(small_max, &self.small_answers, gone.clone());
        let (made, small) = self.try_within(Arc::clone(&work), small, None).await?;
        if !small.is_outgrown() {
            return Ok((made?, small));
        }
        drop((made, small));
        let _place = self.place_in_line()?;
        let turn = Arc::clone(&self.large_turn).acquire_owned().await;
        let turn = turn.map_err(|error| ApiError::internal(&error))?;
        let large = Allowance::new(&self.large_answers, gone.clone());
        let (made, large) = self.try_within(work, large, Some(turn)).await?;
        Ok((made?, large))
    }

    async fn try_within<T: Send + 'static>(
        &self,
        work: Arc<impl Work<T>>,
        mut allowance: Allowance,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(Result<T, ApiError>, Allowance), ApiError> {
        self.read(move |snapshot| {
            // Held until the work is done, also where the one who asked has gone by then.
            let _turn = turn;
            let made = work(snapshot, &mut allowance);
            if made.is_err() {
                // Before the turn ends: the next one finds it free.
                allowance.release();
            }
            Ok((made, allowance))
        })
        .await
    }

    /// A place among those that wait.
    fn place_in_line(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_full| ApiError::overloaded())
    }

    /// As [`Self::read`], for one cheap look that waits for nobody but others like it.
    ///
    /// # Errors
    /// What `work` says.
    pub(crate) async fn probe<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = Arc::clone(&self.probes).acquire_owned().await;
        let turn = turn.map_err(|error| ApiError::internal(&error))?;
        let work = move |snapshot: &dyn Snapshot| {
            let _turn = turn;
            work(snapshot)
        };
        self.look(work).await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = Arc::clone(&self.store);
        blocking(move || {
            let snapshot = store.snapshot()?;
            work(&*snapshot)
        })
        .await
    }
}

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ApiError::internal(&error)))
}

#[cfg(test)]
mod tests;
