//! [`LogFinder`]: which log has a sequence, and how far that log is committed.
//!
//! Promises: a log of a region counts up to `published` of that region, which is looked at before any byte of the log is
//! read. Any other log is final, and counts up to where the next one begins: behind that may lie what a process appended that
//! had been succeeded ([`succession`](crate::follow::succession)).
//! Must not know: who reads, or what the records hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::filename::{self, FileKind};

use crate::base::control::REGIONS;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::member::Member;
use crate::follow::log_reader::LogRecords;

/// Where the logs of a segment are.
pub(super) struct LogFinder {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) member: Arc<Member>,
}

/// Where a sequence is.
pub(super) enum SequenceAt {
    /// In this log, which is committed up to there, unless the log lost it.
    Log(Log),
    /// Nowhere: these are the first that may be there.
    Missing { resume: Sequence },
    /// It is not committed yet.
    ToCome,
}

/// A log that is open.
pub(super) struct Log {
    pub(super) number: u64,
    pub(super) committed: Sequence,
    pub(super) records: LogRecords,
}

/// A region's log.
struct RegionLog {
    number: u64,
    before: Sequence,
    committed: Sequence,
}

/// Where a sequence is among the regions.
enum InRegions {
    In(RegionLog),
    /// Before all that is committed in regions. The oldest one's log.
    Before(RegionLog),
}

impl LogFinder {
    /// Where a sequence is. `open` is a log that the caller has open.
    pub(super) fn find(&self, sequence: Sequence, open: &mut Option<Log>) -> Result<SequenceAt> {
        // The log that was looked for and not there, though a region says that it is needed.
        let mut gone = None;
        loop {
            let log = match self.in_regions(sequence)? {
                InRegions::In(log) if sequence > log.committed => return Ok(SequenceAt::ToCome),
                InRegions::In(log) => log,
                InRegions::Before(oldest) => return self.in_files(sequence, &oldest, open),
            };
            let (number, committed) = (log.number, log.committed);
            if let Some(open) = open.take_if(|open| open.number == number) {
                return Ok(SequenceAt::Log(Log { committed, ..open }));
            }
            let Some(records) = LogRecords::open(self.fs.as_ref(), number)? else {
                if gone == Some(number) {
                    let message = format!("{} is missing", filename::log(number));
                    return Err(Error::new(ErrorKind::Corruption, message));
                }
                // Its region may be in tables by now.
                gone = Some(number);
                continue;
            };
            return Ok(SequenceAt::Log(Log {
                number,
                committed,
                records,
            }));
        }
    }

    /// The newest region that begins before a sequence.
    fn in_regions(&self, sequence: Sequence) -> Result<InRegions> {
        loop {
            let (view, version) = self.member.current_version()?;
            let count = view.active.wrapping_sub(version.flushed);
            if !(1..=REGIONS).contains(&count) {
                let message =
                    format!("the shared memory is damaged: {count} regions are not in tables");
                return Err(Error::new(ErrorKind::Corruption, message));
            }
            let mut oldest = None;
            for back in 0..count {
                oldest = self.region(view.active.wrapping_sub(back));
                match oldest {
                    Some(log) if log.before < sequence => return Ok(InRegions::In(log)),
                    Some(_) => {}
                    // It was used again meanwhile, so another view is named by now.
                    None => break,
                }
            }
            if let Some(oldest) = oldest {
                return Ok(InRegions::Before(oldest));
            }
            self.member.check_view(view)?;
        }
    }

    fn region(&self, counter: u32) -> Option<RegionLog> {
        let control = &self.member.control;
        let region = control.region(counter);
        let committed = match planted!(WatchBeyondPublished) {
            true => region.record_last(),
            false => region.published(),
        };
        let log = RegionLog {
            number: region.log(),
            before: region.before(),
            committed,
        };
        control.are_current(counter, 1).then_some(log)
    }

    /// Where a sequence is that comes before all regions.
    fn in_files(
        &self,
        sequence: Sequence,
        oldest: &RegionLog,
        open: &mut Option<Log>,
    ) -> Result<SequenceAt> {
        let mut committed = oldest.before;
        let mut logs = self.logs(oldest.number)?;
        // It can be read to its end, also if it was removed meanwhile.
        logs.extend(open.as_ref().map(|open| open.number));
        for number in logs.into_iter().rev() {
            // It was opened for an earlier sequence.
            if let Some(open) = open.take_if(|open| open.number == number) {
                return Ok(SequenceAt::Log(Log { committed, ..open }));
            }
            // It may have been removed meanwhile.
            let Some(mut records) = LogRecords::open(self.fs.as_ref(), number)? else {
                continue;
            };
            // A log that has its beginning alone may have got it late.
            let Some(head) = records.head()?.filter(|head| !head.is_alone) else {
                continue;
            };
            if head.first <= sequence {
                return Ok(SequenceAt::Log(Log {
                    number,
                    committed,
                    records,
                }));
            }
            committed = head.first - 1;
        }
        Ok(SequenceAt::Missing {
            resume: committed + 1,
        })
    }

    /// The logs below a number that are kept.
    fn logs(&self, below: u64) -> Result<BTreeSet<u64>> {
        let from = self.member.control.kept_logs();
        let names = self.fs.list();
        let names = names.map_err(|error| Error::io("list", "the directory", error))?;
        let numbers = names.iter().filter_map(|name| match filename::parse(name) {
            Some((FileKind::Log, number)) => Some(number),
            _ => None,
        });
        Ok(numbers
            .filter(|number| (from..below).contains(number))
            .collect())
    }
}
