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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::allowance::AllowanceError;
    use crate::store::sqlite::{Options, SqliteStore};

    fn readers(folder: &std::path::Path) -> Readers {
        let store = SqliteStore::open(folder, Options::default()).unwrap();
        Readers::new(&Config::new("", folder), Arc::new(store))
    }

    #[tokio::test]
    async fn work_ends_soon_after_the_one_who_asked_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (ended, ends) = mpsc::channel();
        let answer = readers.read_within(move |_, allowance| {
            begun.send(()).unwrap();
            while allowance.set(1).is_ok() {
                std::thread::yield_now();
            }
            let why = allowance.set(1);
            ended.send(why).unwrap();
            Ok(why?)
        });
        tokio::select! {
            _ = answer => panic!("it ends only when nobody waits"),
            _ = begins.recv() => {}
        }
        let why = tokio::task::spawn_blocking(move || ends.recv());
        assert_eq!(why.await.unwrap(), Ok(Err(AllowanceError::Unwanted)));
    }

    #[tokio::test]
    async fn a_read_that_goes_on_without_its_client_keeps_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let read = readers.read(move |_| {
            begun.send(()).unwrap();
            let _ended = goes_on.recv();
            Ok(())
        });
        tokio::select! {
            _ = read => panic!("it waits to be told"),
            _ = begins.recv() => {}
        }
        assert_eq!(readers.turns.available_permits(), limits::READS_MAX - 1);
        drop(go_on);
        let all = u32::try_from(limits::READS_MAX).unwrap();
        let _all = readers.turns.acquire_many(all).await.unwrap();
    }

    #[tokio::test]
    async fn cheap_looks_wait_for_others_like_them_only() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        let all = u32::try_from(limits::READS_MAX).unwrap();
        let _busy = readers.turns.acquire_many(all).await.unwrap();
        let at_once = Arc::new(AtomicUsize::new(0));
        let mut looks = JoinSet::new();
        for _ in 0..100 {
            let (readers, at_once) = (readers.clone(), Arc::clone(&at_once));
            let look = move |_: &dyn Snapshot| {
                let others = at_once.fetch_add(1, Ordering::SeqCst);
                (0..1_000).for_each(|_| std::thread::yield_now());
                at_once.fetch_sub(1, Ordering::SeqCst);
                Ok(others)
            };
            looks.spawn(async move { readers.probe(look).await });
        }
        while let Some(others) = looks.join_next().await {
            assert!(others.unwrap().unwrap() < limits::PROBES_MAX);
        }
    }

    #[tokio::test]
    async fn what_outgrows_a_small_answer_is_made_again_as_the_only_large_one() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        let small = usize::try_from(limits::SMALL_ANSWER_BYTES).unwrap();
        let at_once = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&at_once);
        let large = move |_: &dyn Snapshot, allowance: &mut Allowance| {
            allowance.set(small)?;
            allowance.set(small + 1)?;
            assert_eq!(seen.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            (0..1_000).for_each(|_| std::thread::yield_now());
            seen.fetch_sub(1, Ordering::SeqCst);
            Ok(allowance.held())
        };
        let (one, two) = tokio::join!(
            readers.read_within(large.clone()),
            readers.read_within(large.clone())
        );
        for made in [one, two] {
            let (held, allowance) = made.unwrap();
            assert!(held > small);
            assert_eq!(allowance.held(), held);
        }
        assert_eq!(readers.answers_bytes(), 0);
    }

    #[tokio::test]
    async fn large_answers_that_are_refused_leave_their_turn_with_all_memory_free() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(folder.path());
        let too_large = |_: &dyn Snapshot, allowance: &mut Allowance| {
            allowance.set(usize::try_from(limits::LARGE_ANSWER_BYTES).unwrap())?;
            allowance.set(usize::MAX)?;
            Ok(())
        };
        let mut many = JoinSet::new();
        for _ in 0..20 {
            let readers = readers.clone();
            many.spawn(async move { readers.read_within(too_large).await.unwrap_err() });
        }
        while let Some(refused) = many.join_next().await {
            assert_eq!(refused.unwrap().code(), "answer_too_large");
        }
    }
}
