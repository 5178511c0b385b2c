//! Clients that send windows of samples as fast as they are acknowledged, and keep the books.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};

use crate::clock::{self, HOUR};
use crate::collector::Collector;
use crate::folded::{self, Stacks};
use crate::http::{self, Answer};

/// The service that they send for.
const SERVICE: &str = "senders";

/// The hour that windows sent now lie in: the last full one, in seconds since the epoch.
#[must_use]
pub fn last_hour() -> u64 {
    clock::unix_seconds() / HOUR * HOUR - HOUR
}

/// One window: a stack of its own with one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Which sender.
    pub sender: u32,
    /// Which of its windows.
    pub sequence: u32,
}

impl Window {
    /// The stack that stands for it, root first.
    #[must_use]
    pub fn stack(self) -> String {
        format!("main;sender_{};window_{}", self.sender, self.sequence)
    }

    /// Sends it; a repetition is the same window to the collector.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(self, collector: &str, hour: u64) -> Result<Answer> {
        let from = hour + 60;
        let until = from + 10;
        let url = format!(
            "{collector}/api/v1/samples?service={SERVICE}&entry=e&from={from}&until={until}"
        );
        let key = format!("{:032x}-{}", self.sender, self.sequence);
        http::post(
            &url,
            &[("idempotency-key", &key)],
            format!("{} 1\n", self.stack()).as_bytes(),
        )
    }

    /// Sends it and enters in the books what became of it; gives whether it was acknowledged.
    fn enter(self, collector: &str, hour: u64, books: &Mutex<Ledger>) -> bool {
        let acknowledged = self
            .send(collector, hour)
            .is_ok_and(|answer| answer.status < 300);
        let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
        let list = if acknowledged {
            &mut books.acknowledged
        } else {
            &mut books.open
        };
        list.insert(self);
        acknowledged
    }
}

/// What became of the windows.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Answered with a success.
    pub acknowledged: BTreeSet<Window>,
    /// Sent, and answered otherwise or not at all.
    pub open: BTreeSet<Window>,
}

/// Running senders.
#[derive(Debug)]
pub struct Senders {
    stop: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    /// Starts `count` senders of windows of an hour to a collector. Each ends with the first
    /// window that is not acknowledged.
    #[must_use]
    pub fn start(collector: &Collector, count: u32, hour: u64, first_sequence: u32) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let ledger = Arc::<Mutex<Ledger>>::default();
        let threads = (0..count)
            .map(|sender| {
                let (stop, ledger) = (Arc::clone(&stop), Arc::clone(&ledger));
                let url = collector.url("");
                let more = move |books: &Mutex<Ledger>, sequence| {
                    Window { sender, sequence }.enter(&url, hour, books)
                        && !stop.load(Ordering::Relaxed)
                };
                thread::spawn(move || {
                    let _ = (first_sequence..).find(|sequence| !more(&ledger, *sequence));
                })
            })
            .collect();
        Self {
            stop,
            ledger,
            threads,
        }
    }

    /// How many windows have been acknowledged so far.
    #[must_use]
    pub fn acknowledged_count(&self) -> usize {
        self.books().acknowledged.len()
    }

    /// Stops the senders and gives the books.
    #[must_use]
    pub fn finish(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.books().clone()
    }

    fn books(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the collector holds of the senders' windows.
///
/// # Errors
/// When it does not answer with folded text.
pub fn stored(collector: &Collector, hour: u64) -> Result<Stacks> {
    let until = hour + HOUR;
    let path =
        format!("/api/v1/flamegraph?service={SERVICE}&from={hour}&until={until}&format=folded");
    let answer = collector.get(&path)?;
    // Nothing stored at all is an answer too.
    ensure!(
        matches!(answer.status, 200 | 404),
        "{path}: {} {}",
        answer.status,
        answer.text()
    );
    let text = if answer.status == 200 {
        answer.text()
    } else {
        String::new()
    };
    Ok(folded::sum(&text))
}

/// Checks what a restarted collector holds: each acknowledged window once, each open one at most
/// once, and after all of them were sent again each exactly once.
///
/// # Errors
/// When it holds anything else.
pub fn check_books(collector: &Collector, ledger: &Ledger, hour: u64) -> Result<()> {
    let reopened = stored(collector, hour)?;
    for window in &ledger.acknowledged {
        let count = reopened.get(&window.stack()).copied().unwrap_or(0);
        ensure!(
            count == 1,
            "{window:?} was acknowledged and is there {count} times"
        );
    }
    for window in &ledger.open {
        let count = reopened.get(&window.stack()).copied().unwrap_or(0);
        ensure!(
            count <= 1,
            "{window:?} was not acknowledged and is there {count} times"
        );
    }
    let all: BTreeSet<Window> = ledger.acknowledged.union(&ledger.open).copied().collect();
    for window in &all {
        let answer = window.send(&collector.url(""), hour)?;
        ensure!(
            answer.status < 300,
            "{window:?} again: {} {}",
            answer.status,
            answer.text()
        );
    }
    let expected: Stacks = all.iter().map(|window| (window.stack(), 1)).collect();
    folded::same(&stored(collector, hour)?, &expected).context("after all were sent again")
}
