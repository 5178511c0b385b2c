//! Whether sampling leaves the program time to run.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

/// Samples in a row that came sooner than the one before took: more is no coincidence.
const STREAK_MAX: u32 = 3;

/// The pace of one thread's samples.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last_end_ns: u64,
    last_cost_ns: u64,
    streak: u32,
    /// The cheapest sample of the streak: what a sample costs without being preempted.
    cost_ns: u64,
}

impl Pace {
    /// Whether a sample at `now_ns` would be too much.
    ///
    /// # Signal safety
    /// Integers only.
    pub(super) fn is_overload(&self, now_ns: u64) -> bool {
        let pause_ns = now_ns.saturating_sub(self.last_end_ns);
        self.streak > STREAK_MAX && pause_ns < self.cost_ns
    }

    /// Takes note of a sample.
    ///
    /// # Signal safety
    /// Integers only.
    pub(super) fn sampled(&mut self, start_ns: u64, end_ns: u64) {
        let pause_ns = start_ns.saturating_sub(self.last_end_ns);
        let cost_ns = end_ns.saturating_sub(start_ns);
        if pause_ns < self.last_cost_ns {
            self.streak = self.streak.saturating_add(1);
            self.cost_ns = if self.streak == 1 {
                cost_ns
            } else {
                self.cost_ns.min(cost_ns)
            };
        } else if pause_ns > self.last_cost_ns.saturating_mul(4) {
            self.streak = 0;
        }
        self.last_end_ns = end_ns;
        self.last_cost_ns = cost_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signals back to back, as under a period shorter than a sample: how many are taken.
    fn taken_of(signals: u32, cost_ns: u64, pause_ns: u64) -> u32 {
        let mut pace = Pace::default();
        let (mut now, mut taken) = (1_000_000_000, 0);
        for _ in 0..signals {
            now += pause_ns;
            if !pace.is_overload(now) {
                pace.sampled(now, now + cost_ns);
                now += cost_ns;
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn program_that_has_time_is_always_sampled() {
        assert_eq!(taken_of(100, 10_000, 1_000_000), 100);
        assert_eq!(taken_of(100, 10_000, 10_001), 100);
    }

    #[test]
    fn samples_that_take_longer_than_the_pause_leave_about_half_of_the_time() {
        let taken = taken_of(1000, 1_000_000, 50_000);
        assert!(
            (40..70).contains(&taken),
            "{taken} of 1000 signals that are 50 ms apart in all"
        );
    }

    #[test]
    fn one_preempted_sample_costs_no_other() {
        let mut pace = Pace::default();
        pace.sampled(1_000_000_000, 1_010_000_000);
        assert!(!pace.is_overload(1_010_001_000));
        pace.sampled(1_010_001_000, 1_010_011_000);
        assert!(!pace.is_overload(1_011_000_000));
    }
}
