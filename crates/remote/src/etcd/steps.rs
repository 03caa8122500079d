//! In how much of its range a scan that goes on asks for its next chunk.
//!
//! etcd 3.4 walks its index over the whole range of each question, and for a backward one reads and sorts all values there: chunk by
//! chunk a long range would cost the square of its length. So the next chunk is asked for in a part of the range that is expected to
//! have some times as many entries as are wanted, by how far apart the last chunk's keys were. A part with few is followed by a longer
//! one. A wrong expectation costs questions, and never an entry: a part is left only when all of it was told.
//!
//! Must not know: what etcd is asked, or what the keys mean.

use std::collections::VecDeque;
use std::ops::Bound;

use level_party_locks::Mutex;

use crate::request::{KeyRange, Scan};

/// Ranges with at most so many entries are asked for as a whole.
const SHORT: i64 = 10_000;
/// How many times the entries that are wanted a part is expected to have, forward and backward.
const AHEAD: u128 = 16;
const BACK: u128 = 4;
/// How much longer the next part is where one had few entries.
const LONGER: u64 = 4;
/// Scans that are remembered.
const MOST: usize = 32;
/// Bytes that keys have in common and that may change all the same: what is behind them may carry over.
const CARRY: usize = 2;

/// Where the scans of a database go on.
#[derive(Default)]
pub struct Steps(Mutex<VecDeque<Step>>);

/// How far apart the keys are where one scan goes on.
#[derive(Clone)]
struct Step {
    reverse: bool,
    /// Where it goes on: forward the lower bound, backward the upper one.
    from: Bound<Vec<u8>>,
    /// Keys are as many bytes that stay, and a number of eight bytes.
    stay: usize,
    /// That number differs by so much for so many entries.
    distance: u64,
    entries: u64,
}

/// A part of a scan's range, which begins where that does.
pub struct Part {
    pub range: KeyRange,
    /// Where the scan goes on once all of it was told.
    pub reached: Vec<u8>,
    step: Step,
}

fn edge(scan: &Scan) -> &Bound<Vec<u8>> {
    if scan.reverse {
        &scan.range.upper
    } else {
        &scan.range.lower
    }
}

fn key_of(bound: &Bound<Vec<u8>>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// The eight bytes behind those that stay, as a number.
fn number(key: &[u8], stay: usize) -> u64 {
    let mut eight = [0; 8];
    let rest = key.get(stay..).unwrap_or_default();
    let len = rest.len().min(8);
    eight[..len].copy_from_slice(&rest[..len]);
    u64::from_be_bytes(eight)
}

impl Step {
    /// By the first and the last key of a chunk.
    fn between(scan: &Scan, first: &[u8], last: &[u8], entries: usize) -> Option<Step> {
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let stay = common.saturating_sub(CARRY);
        let distance = number(first, stay).abs_diff(number(last, stay));
        (distance > 0).then(|| Step {
            reverse: scan.reverse,
            from: Bound::Excluded(last.to_vec()),
            stay,
            distance,
            entries: entries.max(2) as u64 - 1,
        })
    }

    /// The part for so many entries. `None`: it is all that is left of the range.
    fn part(self, scan: &Scan, entries: usize) -> Option<Part> {
        let here = key_of(&self.from)?;
        let times = if self.reverse { BACK } else { AHEAD };
        let distance = u128::from(self.distance) * entries as u128 * times;
        let distance = u64::try_from(distance / u128::from(self.entries))
            .ok()?
            .max(1);
        let number = number(here, self.stay);
        let there = match self.reverse {
            true => number.checked_sub(distance)?,
            false => number.checked_add(distance)?,
        };
        let reached = [here.get(..self.stay)?, &there.to_be_bytes()].concat();
        let mut range = scan.range.clone();
        // Where it goes on, the bound is included: so it is not in this part.
        let (end, is_within) = match self.reverse {
            true => (
                &mut range.lower,
                key_of(&scan.range.lower).is_none_or(|low| *reached > *low),
            ),
            false => (
                &mut range.upper,
                key_of(&scan.range.upper).is_none_or(|high| *reached < *high),
            ),
        };
        *end = Bound::Excluded(reached.clone());
        is_within.then_some(Part {
            range,
            reached,
            step: self,
        })
    }
}

impl Steps {
    /// The part in which the next chunk of a scan is to be looked for. `None`: in the whole range.
    pub fn part(&self, scan: &Scan, entries: usize) -> Option<Part> {
        let mut steps = self.0.lock();
        let at = steps
            .iter()
            .position(|step| step.reverse == scan.reverse && step.from == *edge(scan))?;
        let step = steps.remove(at)?;
        drop(steps);
        step.part(scan, entries)
    }

    /// A chunk ended with an entry, and more is left. `count`: the entries of what was asked for.
    pub fn goes_on(
        &self,
        scan: &Scan,
        part: Option<&Part>,
        keys: (&[u8], &[u8]),
        entries: usize,
        count: i64,
    ) {
        let (first, last) = keys;
        if part.is_none() && count <= SHORT {
            return;
        }
        let from = Bound::Excluded(last.to_vec());
        let before = || {
            part.map(|part| Step {
                from,
                ..part.step.clone()
            })
        };
        if let Some(step) = Step::between(scan, first, last, entries).or_else(before) {
            self.keep(step);
        }
    }

    /// All of a part was told, which had so many of the wanted entries.
    pub fn left(&self, part: &Part, entries: usize, wanted: usize) {
        let mut step = part.step.clone();
        step.from = Bound::Included(part.reached.clone());
        if entries * 2 < wanted {
            step.distance = step.distance.saturating_mul(LONGER);
        }
        self.keep(step);
    }

    fn keep(&self, step: Step) {
        let mut steps = self.0.lock();
        if steps.len() == MOST {
            steps.pop_front();
        }
        steps.push_back(step);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn scan(reverse: bool) -> Scan {
        Scan {
            range: KeyRange {
                lower: Bound::Unbounded,
                upper: Bound::Unbounded,
            },
            reverse,
            keys_only: false,
            limit_bytes: 1 << 20,
            limit_entries: 100,
            hold: false,
        }
    }

    /// Scans all keys by parts, as a server would tell them; gives them, how many questions there were, and how many keys lay in
    /// what they asked for.
    fn walk(keys: &BTreeSet<Vec<u8>>, mut scan: Scan) -> (Vec<Vec<u8>>, usize, usize) {
        let (steps, wanted) = (Steps::default(), scan.limit_entries);
        let (mut told, mut questions, mut passed) = (Vec::new(), 0, 0);
        loop {
            let part = steps.part(&scan, wanted);
            let range = part.as_ref().map_or(&scan.range, |part| &part.range);
            let mut found: Vec<_> = keys
                .range((range.lower.clone(), range.upper.clone()))
                .collect();
            if scan.reverse {
                found.reverse();
            }
            questions += 1;
            let count = found.len();
            passed += count;
            let chunk: Vec<Vec<u8>> = found.into_iter().take(wanted).cloned().collect();
            told.extend(chunk.iter().cloned());
            let next = match (&part, chunk.first(), chunk.last()) {
                (_, Some(first), Some(last)) if count > wanted => {
                    let keys = (first.as_slice(), last.as_slice());
                    steps.goes_on(&scan, part.as_ref(), keys, chunk.len(), count as i64);
                    Bound::Excluded(last.clone())
                }
                (Some(part), ..) => {
                    steps.left(part, chunk.len(), wanted);
                    Bound::Included(part.reached.clone())
                }
                (None, ..) => return (told, questions, passed),
            };
            match scan.reverse {
                true => scan.range.upper = next,
                false => scan.range.lower = next,
            }
        }
    }

    fn sets() -> Vec<(&'static str, BTreeSet<Vec<u8>>)> {
        let mut random = 7_u64;
        let mut next = move || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            random.rotate_left(23)
        };
        let decimal = (0..50_000)
            .map(|n| format!("{n:08}").into_bytes())
            .collect();
        let gaps = (0..50_000)
            .map(|n| format!("{}/{:05}", n / 5000 * 97, n % 5000).into_bytes())
            .collect();
        let binary = (0..50_000)
            .map(|_| next().to_be_bytes()[..5].to_vec())
            .collect();
        let long = (0..50_000)
            .map(|n| format!("{}{n:05}", "x".repeat(300)).into_bytes())
            .collect();
        let edges = (0..50_000_u32)
            .map(|n| [&[0xff; 3], &n.to_be_bytes()[1..]].concat())
            .collect();
        vec![
            ("decimal", decimal),
            ("gaps", gaps),
            ("binary", binary),
            ("long", long),
            ("edges", edges),
        ]
    }

    #[test]
    fn every_key_is_told_once_in_few_questions_of_short_parts() {
        for (name, keys) in sets() {
            for reverse in [false, true] {
                let (told, questions, passed) = walk(&keys, scan(reverse));
                let mut wanted: Vec<_> = keys.iter().cloned().collect();
                if reverse {
                    wanted.reverse();
                }
                assert!(told == wanted, "{name}, reverse {reverse}");
                // 500 chunks of 100: as a whole they would pass 250 times as many keys as there are.
                assert!(
                    questions < 2500 && passed < 60 * keys.len(),
                    "{name}, reverse {reverse}: {questions} questions, {passed} keys passed"
                );
            }
        }
    }

    #[test]
    fn part_never_leaves_the_range_of_its_scan() {
        let keys = &sets()[0].1;
        for reverse in [false, true] {
            let mut scan = scan(reverse);
            scan.range = KeyRange {
                lower: Bound::Excluded(b"00000777".to_vec()),
                upper: Bound::Included(b"00047000".to_vec()),
            };
            let (mut told, ..) = walk(keys, scan);
            if reverse {
                told.reverse();
            }
            let first = told.first().map(Vec::as_slice);
            assert_eq!((first, told.len()), (Some(&b"00000778"[..]), 46_223));
        }
    }
}
