//! Times of single operations, and what is told of them.
//!
//! Promises: a [`Summary`] goes through one line of text and back, so that any process in any language can give one.
//! Must not know: what was timed.

use std::time::{Duration, Instant};

use crate::Result;

/// The times of operations that were made one after another.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    nanos: Vec<u64>,
}

impl Samples {
    /// No samples, with room for `count`.
    pub fn with_capacity(count: usize) -> Samples {
        Samples {
            nanos: Vec::with_capacity(count),
        }
    }

    /// Adds one operation's time.
    pub fn push(&mut self, time: Duration) {
        self.nanos
            .push(time.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nanos.is_empty()
    }

    /// Times each call of `operation` from the end of the one before, so that one look at the clock serves two.
    ///
    /// # Errors
    /// The operation's first.
    pub fn time_each<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut operation: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let mut last = Instant::now();
        for item in items {
            operation(item)?;
            let now = Instant::now();
            self.push(now - last);
            last = now;
        }
        Ok(())
    }

    /// What is told of the samples; `per` operations made one sample.
    pub fn summary(mut self, per: usize) -> Summary {
        self.nanos.sort_unstable();
        let count = self.nanos.len();
        let per = per.max(1) as f64;
        let at = |share: f64| {
            let rank = (share * count as f64).ceil() as usize;
            let nanos = self.nanos.get(rank.clamp(1, count.max(1)) - 1);
            nanos.map(|nanos| *nanos as f64 / per)
        };
        let total = self
            .nanos
            .iter()
            .fold(0.0, |sum, nanos| sum + *nanos as f64);
        Summary {
            count: count as u64 * per as u64,
            mean: total / (count.max(1) as f64 * per),
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// What is told of many operations' times, all in nanoseconds an operation.
///
/// ```
/// use level_party_bench::Summary;
/// let summary = Summary::of_total(1_000, std::time::Duration::from_micros(50));
/// assert_eq!(summary.to_line(), "1000 50.0 - - -");
/// assert_eq!(Summary::from_line("1000 50.0 - - -").unwrap(), summary);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many operations.
    pub count: u64,
    /// Their mean time.
    pub mean: f64,
    /// The median, where each operation was timed.
    pub p50: Option<f64>,
    /// What 99 of 100 did not exceed, where each operation was timed.
    pub p99: Option<f64>,
    /// The longest, where each operation was timed.
    pub max: Option<f64>,
}

impl Summary {
    /// Operations that were timed only together.
    pub fn of_total(count: u64, time: Duration) -> Summary {
        Summary {
            count,
            mean: time.as_nanos() as f64 / count.max(1) as f64,
            p50: None,
            p99: None,
            max: None,
        }
    }

    /// For each statistic, the median over several rounds of the same: one disturbed round does not count.
    ///
    /// # Panics
    /// If there is no round.
    pub fn median(rounds: &[Summary]) -> Summary {
        let median = |of: &dyn Fn(&Summary) -> Option<f64>| {
            let mut all: Vec<f64> = rounds.iter().filter_map(of).collect();
            all.sort_unstable_by(f64::total_cmp);
            all.get(all.len() / 2).copied()
        };
        Summary {
            count: rounds.first().expect("there is a round").count,
            mean: median(&|s| Some(s.mean)).expect("there is a round"),
            p50: median(&|s| s.p50),
            p99: median(&|s| s.p99),
            max: median(&|s| s.max),
        }
    }

    /// `count mean p50 p99 max`, with `-` for what is not known.
    pub fn to_line(&self) -> String {
        let number = |n: Option<f64>| n.map_or("-".to_owned(), |n| format!("{n:.1}"));
        let all = [Some(self.mean), self.p50, self.p99, self.max].map(number);
        format!("{} {}", self.count, all.join(" "))
    }

    /// Reads what [`Summary::to_line`] wrote.
    ///
    /// # Errors
    /// The line is something else; the message quotes it.
    pub fn from_line(line: &str) -> Result<Summary> {
        let parse = || {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [count, mean, p50, p99, max] = words[..] else {
                return None;
            };
            let number = |word: &str| match word {
                "-" => Some(None),
                word => word.parse().ok().map(Some),
            };
            Some(Summary {
                count: count.parse().ok()?,
                mean: mean.parse().ok()?,
                p50: number(p50)?,
                p99: number(p99)?,
                max: number(max)?,
            })
        };
        parse().ok_or_else(|| format!("not a line of figures: {line:?}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(nanos: impl IntoIterator<Item = u64>) -> Samples {
        Samples {
            nanos: nanos.into_iter().collect(),
        }
    }

    #[test]
    fn percentiles_are_samples_that_were_taken() {
        let summary = samples((1..=100).rev()).summary(1);
        assert_eq!(summary.p50, Some(50.0));
        assert_eq!(summary.p99, Some(99.0));
        assert_eq!(summary.max, Some(100.0));
        assert_eq!(summary.mean, 50.5);
        assert_eq!(samples([7]).summary(1).p50, Some(7.0));
    }

    #[test]
    fn samples_of_many_operations_are_told_an_operation() {
        let summary = samples([1_000, 3_000]).summary(1_000);
        assert_eq!(
            (summary.count, summary.mean, summary.max),
            (2_000, 2.0, Some(3.0))
        );
    }

    #[test]
    fn no_samples_have_no_percentiles() {
        assert_eq!(samples([]).summary(1).to_line(), "0 0.0 - - -");
    }

    #[test]
    fn a_summary_goes_through_a_line_and_back() {
        let summary = samples([1, 2, 30]).summary(1);
        let line = summary.to_line();
        assert_eq!(Summary::from_line(&line).unwrap().to_line(), line);
        assert!(Summary::from_line("1 2 3").is_err());
        assert!(Summary::from_line("").is_err());
    }

    #[test]
    fn one_disturbed_round_does_not_move_the_median() {
        let rounds = [10, 900, 12].map(|n| Summary::of_total(1, Duration::from_nanos(n)));
        assert_eq!(Summary::median(&rounds).mean, 12.0);
    }
}
