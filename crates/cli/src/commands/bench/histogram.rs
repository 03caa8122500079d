//! How long calls took, in buckets a few percent wide: constant memory however many calls, and several can be added up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets for each doubling: a span is told to within a thirty-second part.
const FINE: u32 = 5;

/// Spans of time in nanoseconds, counted by bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    counts: BTreeMap<u32, u64>,
}

impl Histogram {
    /// Counts a span.
    pub fn add(&mut self, ns: u64) {
        *self.counts.entry(bucket(ns)).or_default() += 1;
    }

    /// Adds all that another one has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
    }

    /// How many spans were counted.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The span that `share` of all did not exceed, or none where there are none.
    pub fn at(&self, share: f64) -> Option<u64> {
        let mut before = (self.count() as f64 * share) as u64;
        for (bucket, count) in &self.counts {
            if before < *count {
                return Some(least(*bucket));
            }
            before -= count;
        }
        self.counts.keys().last().copied().map(least)
    }
}

/// Below 64 each span has its own bucket; from there on each doubling has 32.
fn bucket(ns: u64) -> u32 {
    let bits = u64::BITS - ns.leading_zeros();
    match bits.checked_sub(FINE + 1) {
        None | Some(0) => ns as u32,
        Some(shift) => (shift << FINE) + (ns >> shift) as u32,
    }
}

/// The least span of a bucket.
fn least(bucket: u32) -> u64 {
    match bucket >> FINE {
        0 | 1 => u64::from(bucket),
        doublings => {
            let shift = doublings - 1;
            u64::from(bucket - (shift << FINE)) << shift
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_with_its_least_span_and_is_narrow() {
        let mut before = None;
        let spans = (0..70_000).chain((0..64).map(|shift| (1_u64 << shift) - 1));
        for ns in spans.chain([u64::MAX, u64::MAX - 1, 123_456_789_012]) {
            let least = least(bucket(ns));
            assert!(
                least <= ns && ns - least <= ns / 32,
                "{ns} counts as {least}"
            );
            assert_eq!(bucket(least), bucket(ns));
            if before.and_then(|before: u64| before.checked_add(1)) == Some(ns) {
                assert!(
                    bucket(ns) - bucket(ns - 1) <= 1,
                    "a bucket is left out at {ns}"
                );
            }
            before = Some(ns);
        }
    }

    #[test]
    fn shares_are_told_of_all_that_was_added_up() {
        let mut all = Histogram::default();
        assert_eq!(all.at(0.5), None);
        for part in [1..=50_u64, 51..=100] {
            let mut histogram = Histogram::default();
            part.for_each(|ns| histogram.add(ns));
            all.merge(&histogram);
        }
        assert_eq!(all.count(), 100);
        assert_eq!(
            (all.at(0.0), all.at(0.5), all.at(1.0)),
            (Some(1), Some(51), Some(100))
        );
    }
}
