//! Latencies: all of a run in a histogram, those around a flip one by one.

use std::time::Duration;

use serde::Serialize;

/// A bucket is five per cent wider than the one before: nobody reads a percentile more exactly.
const GROWTH: f64 = 1.05;
/// The first bucket ends here.
const FIRST_US: f64 = 50.0;
/// The last bucket begins at half a minute, longer than any request is waited for.
const BUCKETS: usize = 280;

/// The middle, the slow end and the slowest, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of the requests were faster.
    pub p50_ms: f64,
    /// 99 of 100 requests were faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of a few samples, exactly.
    pub(crate) fn of(samples: &[Duration]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).map_or(0.0, |took| ms(*took))
        };
        Self { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// Any number of samples in little memory.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, took: Duration) {
        let steps = (took.as_secs_f64() * 1e6 / FIRST_US).max(1.0).ln() / GROWTH.ln();
        let bucket = (steps.ceil() as usize).min(BUCKETS - 1);
        self.buckets[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(took);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles { p50_ms: self.at(0.5), p99_ms: self.at(0.99), max_ms: ms(self.max) }
    }

    /// The upper end of the bucket that holds this share of the samples; never more than the slowest.
    fn at(&self, share: f64) -> f64 {
        let rank = (share * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                let end = FIRST_US * GROWTH.powi(bucket as i32) / 1e3;
                return round(end.min(ms(self.max)));
            }
        }
        0.0
    }
}

/// Milliseconds, to the microsecond.
pub(crate) fn ms(took: Duration) -> f64 {
    round(took.as_secs_f64() * 1e3)
}

fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_percentiles_of_a_few() {
        let samples: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let expected = Percentiles { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 };
        assert_eq!(Percentiles::of(&samples), expected);
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
        assert_eq!(Percentiles::of(&samples[..1]).p50_ms, 1.0);
    }

    #[test]
    fn a_histogram_is_right_to_five_per_cent() {
        let mut histogram = Histogram::default();
        for us in 1..=100_000_u64 {
            histogram.add(Duration::from_micros(us));
        }
        let found = histogram.percentiles();
        assert!((50.0..=52.5).contains(&found.p50_ms), "{found:?}");
        assert!((99.0..=100.0).contains(&found.p99_ms), "{found:?}");
        assert_eq!(found.max_ms, 100.0);
    }

    #[test]
    fn what_is_out_of_range_is_counted_all_the_same() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_secs(3600));
        assert_eq!(histogram.percentiles().max_ms, 3_600_000.0);
    }
}
