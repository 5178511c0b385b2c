//! Numbers above a graph: facts, and where every sample went.

use std::cmp::Reverse;

use flashlamp_profile::{Profile, Tally, losses};
use maud::{Markup, html};

use super::layout::name;
use crate::{format, text};

/// How many reasons for loss are listed: an agent has fewer than ten, a stranger's profile may
/// name any number.
const REASONS_MAX: usize = 20;

/// One fact of a page's head: a word and what it is.
pub(super) fn fact(word: &str, value: &Markup) -> Markup {
    html! { div { dt { (word) } dd { (value) } } }
}

/// `taken = stored + lost`, the losses by reason, and what was truncated.
///
/// The numbers are also in `data-` attributes, for programs that read the page.
pub(super) fn counts(profile: &Profile) -> Markup {
    let (taken, stored, lost) = (profile.taken(), profile.stored(), profile.lost());
    let truncated = profile.truncated();
    html! {
        section.counts aria-label="Samples"
            data-taken=(taken.samples) data-stored=(stored.samples) data-lost=(lost.samples)
            data-truncated=(truncated.samples)
            data-taken-events=(taken.events) data-stored-events=(stored.events)
            data-lost-events=(lost.events) {
            p.equation {
                (term("taken", taken)) " = " (term("stored", stored)) " + "
                span.losses[lost.samples != 0 || lost.events != 0] { (term("lost", lost)) }
            }
            @if !profile.losses().is_empty() { (reasons(profile)) }
            @if truncated.samples != 0 {
                p.truncated title="Their stacks were deeper than the agent keeps." {
                    b { (format::count(truncated.samples)) } " truncated"
                }
            }
            @for note in profile.notes() {
                p.note { b { (format::count(note.tally().samples)) } " samples: " (note.text()) }
            }
            @if taken.samples != taken.events {
                p.periods {
                    "in periods: " (format::count(taken.events)) " = "
                    (format::count(stored.events)) " + " (format::count(lost.events))
                }
            }
        }
    }
}

/// The losses by reason: the largest ones where there are many.
fn reasons(profile: &Profile) -> Markup {
    let mut all: Vec<_> = profile.losses().iter().collect();
    let left_out = all.len().saturating_sub(REASONS_MAX);
    if left_out != 0 {
        all.sort_by_key(|(_, tally)| Reverse(tally.samples));
        all.truncate(REASONS_MAX);
    }
    html! {
        ul.reasons {
            @for (reason, tally) in all {
                li data-reason=(text::visible(reason)) title=[explain(reason)] {
                    (name(&reason.replace('_', " "))) " "
                    b { (format::count(tally.samples)) }
                }
            }
            @if left_out != 0 {
                li { (format::counted(u64::try_from(left_out).unwrap_or(u64::MAX), "smaller reason")) }
            }
        }
    }
}

fn term(word: &str, tally: Tally) -> Markup {
    html! { span.term { b { (format::count(tally.samples)) } " " (word) } }
}

/// What a loss reason means, for the reasons that this version knows.
fn explain(reason: &str) -> Option<&'static str> {
    Some(match reason {
        losses::RING_FULL => "The sampled thread's buffer was full when the timer fired.",
        losses::QUEUE_FULL => "The agent had too many profiles waiting to be sent.",
        losses::COLLECTOR_REFUSED => "The collector did not accept what the agent sent.",
        losses::COLLECTOR_UNREACHABLE => "The agent could not reach the collector.",
        losses::UNACCOUNTED => "Counted by the kernel, and seen by nobody.",
        losses::OVERLOAD => "Sampling would have taken more time than the program itself.",
        losses::UNDELIVERED => "CPU time whose signal had not come when sampling ended.",
        losses::UNSEEN => {
            "CPU time of threads that had not been found yet, or were too short to be."
        }
        losses::COLLECTION_FULL => "The agent held too many samples that were not yet sent.",
        _ => return None,
    })
}
