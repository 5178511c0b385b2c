//! What the collector counts about itself, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flashlamp_profile::Tally;

use crate::limits;

/// Where reasons for loss are summed once there are too many different ones.
const OTHER: &str = "other";

/// A number that only grows, to the largest there is and no further: event counts come from
/// strangers, and a counter that wraps around would look like a restart.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        let add = |sum: u64| Some(sum.saturating_add(count));
        let _always_some = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    stored_samples: Counter,
    stored_events: Counter,
    lost: Mutex<BTreeMap<String, Tally>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    /// Request profiles stored.
    pub profiles_stored: Counter,
    /// Windows stored.
    pub windows_stored: Counter,
    /// Windows and profiles that came again and were there already.
    pub repeats: Counter,
    /// Windows whose sender's clock was ahead.
    pub clocks_corrected: Counter,
    /// Requests answered, whatever the answer.
    pub requests: Counter,
    in_flight: AtomicU64,
    newest_ns: AtomicU64,
}

/// What is not counted but looked at when `/metrics` is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// Batches that wait for the writer.
    pub queued: u64,
    /// Bytes that bodies being decoded take.
    pub decoding_bytes: u64,
    /// Bytes that answers being made or sent take.
    pub answers_bytes: u64,
    /// Bytes of the data folder.
    pub disk_bytes: u64,
    /// Now, in nanoseconds since the epoch.
    pub now_ns: u64,
}

/// A request being served; it is over when this is dropped.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request in, until what it returns is dropped.
    pub fn request(&self) -> InFlight<'_> {
        self.requests.add(1);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Counts a refusal under its code.
    pub fn refused(&self, code: &'static str) {
        *lock(&self.refused).entry(code).or_default() += 1;
    }

    /// Counts what was stored of a body and what its sender had lost.
    pub fn stored(&self, stored: Tally, losses: &BTreeMap<String, Tally>, now_ns: u64) {
        self.stored_samples.add(stored.samples);
        self.stored_events.add(stored.events);
        self.newest_ns.fetch_max(now_ns, Ordering::Relaxed);
        let mut lost = lock(&self.lost);
        for (reason, tally) in losses {
            let full = lost.len() >= limits::LOSS_REASONS_MAX && !lost.contains_key(reason);
            let reason = if full { OTHER } else { reason.as_str() };
            *lost.entry(reason.to_owned()).or_default() += *tally;
        }
    }

    /// The whole as Prometheus text, format 0.0.4.
    pub fn text(&self, gauges: Gauges) -> String {
        let mut out = Text::default();
        out.one(
            "flashlamp_samples_stored_total",
            "Samples stored.",
            &self.stored_samples,
        );
        out.one(
            "flashlamp_events_stored_total",
            "Event counts stored.",
            &self.stored_events,
        );
        let lost = lock(&self.lost).clone();
        let samples = lost
            .iter()
            .map(|(reason, tally)| (reason.as_str(), tally.samples));
        let help = "Samples that senders took and lost, as they say, by reason.";
        out.many("flashlamp_samples_lost_total", help, "reason", samples);
        let events = lost
            .iter()
            .map(|(reason, tally)| (reason.as_str(), tally.events));
        let help = "Event counts that senders took and lost, as they say, by reason.";
        out.many("flashlamp_events_lost_total", help, "reason", events);
        out.one(
            "flashlamp_windows_stored_total",
            "Windows stored.",
            &self.windows_stored,
        );
        out.one(
            "flashlamp_profiles_stored_total",
            "Request profiles stored.",
            &self.profiles_stored,
        );
        let help = "Windows and profiles that came again and were there already.";
        out.one("flashlamp_repeats_total", help, &self.repeats);
        let help = "Windows put at the collector's time because their sender's clock is ahead.";
        out.one(
            "flashlamp_clocks_corrected_total",
            help,
            &self.clocks_corrected,
        );
        out.one("flashlamp_requests_total", "HTTP requests.", &self.requests);
        let refused = lock(&self.refused).clone();
        let help = "Requests refused, by the code of the answer.";
        out.many("flashlamp_requests_refused_total", help, "code", refused);
        self.gauges(&mut out, gauges);
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        out.labelled(
            "flashlamp_build_info",
            "gauge",
            "The release that runs.",
            ("version", version),
        );
        out.0
    }

    fn gauges(&self, out: &mut Text, gauges: Gauges) {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        out.gauge(
            "flashlamp_requests_in_flight",
            "Requests being served.",
            in_flight,
        );
        let help = "Batches that wait to be written.";
        out.gauge("flashlamp_write_queue_batches", help, gauges.queued);
        let help = "Bytes that bodies being decoded take of the decode budget.";
        out.gauge(
            "flashlamp_decode_budget_taken_bytes",
            help,
            gauges.decoding_bytes,
        );
        let help = "Bytes that answers being made or sent take.";
        out.gauge("flashlamp_answers_bytes", help, gauges.answers_bytes);
        out.gauge(
            "flashlamp_store_bytes",
            "Bytes of the data folder.",
            gauges.disk_bytes,
        );
        if let newest @ 1.. = self.newest_ns.load(Ordering::Relaxed) {
            let age = gauges.now_ns.saturating_sub(newest) / 1_000_000_000;
            let help = "Seconds since something was stored, since the start.";
            out.gauge("flashlamp_newest_data_age_seconds", help, age);
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, help: &str, counter: &Counter) {
        self.head(name, "counter", help);
        let _infallible = writeln!(self.0, "{name} {}", counter.value());
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        let _infallible = writeln!(self.0, "{name} {value}");
    }

    fn many<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.labelled(name, "counter", help, (label, values));
    }

    fn labelled<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        (label, values): (&str, impl IntoIterator<Item = (&'a str, u64)>),
    ) {
        self.head(name, kind, help);
        for (word, value) in values {
            let word = escape(word);
            let _infallible = writeln!(self.0, "{name}{{{label}=\"{word}\"}} {value}");
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _infallible = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// Escapes a label value as the text format wants it; other control characters become `?`, which
/// is safe in every reader.
fn escape(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for character in word.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other if other.is_control() => out.push('?'),
            other => out.push(other),
        }
    }
    out
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lose(metrics: &Metrics, reason: &str) {
        let lost = Tally {
            samples: 2,
            events: 3,
        };
        metrics.stored(
            Tally::default(),
            &BTreeMap::from([(reason.to_owned(), lost)]),
            1,
        );
    }

    #[test]
    fn a_reason_from_a_stranger_cannot_break_the_text() {
        let metrics = Metrics::default();
        lose(&metrics, "a\"} 1\nevil 2\r");
        let text = metrics.text(Gauges::default());
        assert!(text.contains("flashlamp_samples_lost_total{reason=\"a\\\"} 1\\nevil 2?\"} 2\n"));
        assert!(!text.contains("\nevil"));
    }

    #[test]
    fn reasons_beyond_the_bound_are_summed() {
        let metrics = Metrics::default();
        for number in 0..limits::LOSS_REASONS_MAX + 5 {
            lose(&metrics, &format!("r{number}"));
        }
        let text = metrics.text(Gauges::default());
        assert!(text.contains("flashlamp_samples_lost_total{reason=\"other\"} 10\n"));
        assert!(text.contains("flashlamp_events_lost_total{reason=\"other\"} 15\n"));
    }

    #[test]
    fn counters_stay_at_the_largest_number() {
        let metrics = Metrics::default();
        let (most, none) = (u64::MAX - 1, BTreeMap::new());
        for events in [most, 1, most] {
            let stored = Tally { samples: 2, events };
            metrics.stored(stored, &none, 1);
            let reasons = BTreeMap::from([("ring_full".to_owned(), stored)]);
            metrics.stored(Tally::default(), &reasons, 1);
        }
        let text = metrics.text(Gauges::default());
        let line = format!("flashlamp_events_stored_total {}\n", u64::MAX);
        assert!(text.contains(&line), "{text}");
        assert!(text.contains("flashlamp_samples_stored_total 6\n"));
        let line = format!(
            "flashlamp_events_lost_total{{reason=\"ring_full\"}} {}\n",
            u64::MAX
        );
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_dropped() {
        let metrics = Metrics::default();
        let in_flight = |metrics: &Metrics| {
            let text = metrics.text(Gauges::default());
            let line = text
                .lines()
                .find(|line| line.starts_with("flashlamp_requests_in_flight"));
            line.unwrap().to_owned()
        };
        let request = metrics.request();
        assert_eq!(in_flight(&metrics), "flashlamp_requests_in_flight 1");
        drop(request);
        assert_eq!(in_flight(&metrics), "flashlamp_requests_in_flight 0");
    }
}
