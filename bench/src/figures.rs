//! Samples and what is said of them.

use std::time::Instant;

use serde::Serialize;

/// Milliseconds from one moment to another; negative where it came before.
pub(crate) fn ms_between(from: Instant, to: Instant) -> f64 {
    let forwards = to.saturating_duration_since(from).as_secs_f64();
    let backwards = from.saturating_duration_since(to).as_secs_f64();
    (forwards - backwards) * 1000.0
}

/// What is said of a row of samples, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) samples: usize,
}

impl Spread {
    /// Of no samples everything is zero.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            median_ms: rank(&sorted, 50),
            p90_ms: rank(&sorted, 90),
            max_ms: rank(&sorted, 100),
            samples: sorted.len(),
        }
    }
}

/// The nearest-rank percentile: a sample that was measured, never a mean of two.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let spread = Spread::of((1..=20).rev().map(f64::from));
        assert_eq!((spread.median_ms, spread.p90_ms, spread.max_ms, spread.samples), (10.0, 18.0, 20.0, 20));
        let none = Spread::of([]);
        assert_eq!((none.median_ms, none.max_ms, none.samples), (0.0, 0.0, 0));
        let one = Spread::of([-3.0]);
        assert_eq!((one.median_ms, one.p90_ms), (-3.0, -3.0));
    }
}
