//! [`KeptLogs`]: logs that are in tables, and stay for those who follow what is committed.
//!
//! Promises: the newest stay, without a hole, until they have as many bytes as the budget says: so at least that much of the
//! past is there, and no more than that and one log. A log that is not in tables is none of them. They lie below the
//! manifest's log number: no recovery replays them, and C++ LevelDB removes them when it opens the directory.
//! Must not know: who follows, or how far behind.

use std::collections::{BTreeSet, VecDeque};

use level_party_format::filename::{self, FileKind};

use crate::base::fs::Fs;

/// Logs that stay.
#[derive(Debug, Default)]
pub(crate) struct KeptLogs {
    budget: u64,
    /// The numbers and the bytes of each, oldest first.
    logs: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl KeptLogs {
    /// None so far.
    pub(crate) fn new(budget: usize) -> KeptLogs {
        KeptLogs {
            budget: budget as u64,
            ..KeptLogs::default()
        }
    }

    /// Those among `names` that have a number from `from` to below `log_number`, which are in tables.
    pub(crate) fn find(
        fs: &dyn Fs,
        names: &[String],
        from: u64,
        log_number: u64,
        budget: usize,
    ) -> KeptLogs {
        let numbers = names.iter().filter_map(|name| match filename::parse(name) {
            Some((FileKind::Log, number)) => Some(number),
            _ => None,
        });
        let numbers: BTreeSet<u64> = numbers
            .filter(|number| (from..log_number).contains(number))
            .collect();
        let mut kept = KeptLogs::new(budget);
        for number in numbers.into_iter().rev() {
            if kept.bytes >= kept.budget {
                break;
            }
            let file = fs.open_read(&filename::log(number));
            let bytes = file.map_or(0, |file| file.len());
            if bytes > 0 {
                kept.logs.push_front((number, bytes));
                kept.bytes += bytes;
            }
        }
        kept
    }

    /// A log is in tables now. Gives the numbers of those that need not stay any more.
    pub(crate) fn add(&mut self, number: u64, bytes: u64) -> Vec<u64> {
        if bytes == 0 {
            return vec![number];
        }
        self.logs.push_back((number, bytes));
        self.bytes += bytes;
        let mut go = Vec::new();
        while let Some((oldest, bytes)) = self.logs.front().copied()
            && self.bytes - bytes >= self.budget
        {
            self.logs.pop_front();
            self.bytes -= bytes;
            go.push(oldest);
        }
        go
    }

    /// The number of the oldest.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.logs.front().map(|(number, _)| *number)
    }

    /// Whether this one stays.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.logs.iter().any(|(its, _)| *its == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::MemFs;

    #[test]
    fn newest_logs_stay_until_the_budget_is_reached() {
        let mut kept = KeptLogs::new(100);
        assert_eq!(kept.add(3, 60), [0; 0]);
        assert_eq!(
            kept.add(4, 60),
            [0; 0],
            "without it there are fewer than 100"
        );
        assert_eq!(kept.add(7, 50), [3]);
        assert_eq!(kept.add(9, 1_000), [4, 7], "one larger than the budget");
        assert_eq!(kept.add(11, 10), [0; 0]);
        assert_eq!(kept.add(12, 0), [12], "nothing is in it");
        assert_eq!(kept.oldest(), Some(9));
        assert!(kept.has(11) && !kept.has(7));
    }

    #[test]
    fn without_a_budget_none_stays() {
        let mut kept = KeptLogs::new(0);
        assert_eq!(kept.add(3, 60), [3]);
        assert_eq!(kept.add(4, 0), [4]);
        assert_eq!(kept.oldest(), None);
    }

    #[test]
    fn logs_that_are_not_in_tables_are_not_counted() {
        let fs = MemFs::new();
        for (number, len) in [(3, 50), (5, 50), (6, 0), (8, 50), (10, 500), (12, 9)] {
            fs.write(&filename::log(number), vec![0; len]);
        }
        fs.write("000009.ldb", vec![0; 500]);
        let names = fs.list().unwrap();
        let found = |from, budget| KeptLogs::find(&fs, &names, from, 10, budget).logs;
        assert_eq!(found(0, 100), [(5, 50), (8, 50)]);
        assert_eq!(found(0, 101), [(3, 50), (5, 50), (8, 50)]);
        assert_eq!(found(6, 1_000), [(8, 50)]);
        assert_eq!(found(0, 0), [(0, 0); 0]);
    }
}
