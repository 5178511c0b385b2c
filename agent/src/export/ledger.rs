//! The books of the export: what became of each piece, and what is still to be told.

use flashlamp_profile::{Tally, losses};

use super::item::Item;
use crate::collection::Losses;

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The collector has it.
    Stored,
    /// The collector does not want it.
    Refused,
    /// The time was up.
    Unreachable,
    /// The agent itself failed on it.
    Fault,
}

/// The books of the export, in samples and event counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Taken for requests that have ended.
    pub(crate) requests_taken: Tally,
    /// Lost by sessions that have ended (in handlers and collections).
    pub(crate) ended_lost: Losses,
    /// Taken by a continuous session that has ended.
    pub(crate) ended_taken: Tally,
    /// Acknowledged by the collector.
    pub(crate) stored: Tally,
    /// Lost in the queue or at the collector.
    pub(crate) lost: Losses,
    /// Waiting or being sent.
    pub(crate) waiting: Tally,
}

impl Ledger {
    /// Enters what a session lost that has ended.
    pub(crate) fn add_ended_losses(&mut self, losses: &Losses) {
        for (reason, tally) in losses {
            *self.ended_lost.entry(reason).or_default() += *tally;
        }
    }
}

/// The ledger, and the losses that the next window carries to the collector.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) ledger: Ledger,
    carried: Losses,
}

impl Books {
    /// Enters a piece that came in; it waits.
    pub(super) fn wait_for(&mut self, item: &Item) {
        self.ledger.waiting += item.stored;
    }

    /// Enters what became of a piece.
    pub(super) fn settle(&mut self, item: &Item, verdict: Verdict) {
        match verdict {
            Verdict::Stored => {
                self.ledger.stored += item.stored;
                self.ledger.waiting = self.ledger.waiting.saturating_sub(item.stored);
            }
            Verdict::Refused => self.lose(item, losses::COLLECTOR_REFUSED),
            Verdict::Unreachable => self.lose(item, losses::COLLECTOR_UNREACHABLE),
            Verdict::Fault => self.lose(item, losses::UNACCOUNTED),
        }
    }

    /// Counts a piece as lost, and lets the next window carry that and what it carried itself.
    pub(super) fn lose(&mut self, item: &Item, reason: &'static str) {
        self.ledger.waiting = self.ledger.waiting.saturating_sub(item.stored);
        if !item.stored.is_zero() {
            *self.ledger.lost.entry(reason).or_default() += item.stored;
            *self.carried.entry(reason).or_default() += item.stored;
        }
        for losses in [&item.carried, &item.chunk.losses] {
            for (reason, tally) in losses {
                *self.carried.entry(reason).or_default() += *tally;
            }
        }
    }

    /// Counts as lost whatever still waits: its result will not be waited for.
    pub(super) fn give_up(&mut self) {
        let rest = std::mem::take(&mut self.ledger.waiting);
        if !rest.is_zero() {
            let lost = self.ledger.lost.entry(losses::COLLECTOR_UNREACHABLE);
            *lost.or_default() += rest;
        }
    }

    /// What is to be told of earlier pieces; the caller's window carries it from here on.
    pub(super) fn take_carried(&mut self) -> Losses {
        std::mem::take(&mut self.carried)
    }
}
