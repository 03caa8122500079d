//! Ranges against a model that knows of each key since when it has no value.

use level_party_format::{Comparator, Sequence};

use super::Way;
use super::ranges::{Edge, MAX_RANGES, Ranges};
use crate::testing::Rng;

const KEYS: usize = 80;

fn key(number: usize) -> Vec<u8> {
    vec![b'k', number as u8]
}

/// Each key's last moment with a value; 0 if it never had one.
type Model = Vec<Sequence>;

/// Where a scan from a key on ends up: the first key that is not known to be dead.
fn end(ranges: &Ranges, from: usize, at: Sequence, way: Way) -> Option<usize> {
    let edge = ranges.edge_beyond(&Comparator::Bytewise, &key(from), at, way)?;
    Some(match (edge, way) {
        (Edge::Lowest, _) => 0,
        (Edge::Highest, _) => KEYS,
        (Edge::Before(key), _) => usize::from(key[1]),
        (Edge::After(key), _) => usize::from(key[1]) + 1,
    })
}

fn edge(random: &mut Rng, number: usize) -> Edge {
    match random.below(8) {
        0 if number == 0 => Edge::Lowest,
        0 if number == KEYS => Edge::Highest,
        _ if number > 0 && random.one_in(2) => Edge::After(key(number - 1)),
        _ => Edge::Before(key(number)),
    }
}

#[test]
fn ranges_never_hold_a_key_that_had_a_value() {
    let user = &Comparator::Bytewise;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let (mut ranges, mut model) = (Ranges::default(), Model::from([0; KEYS]));
        let mut told = 0;
        for now in 1..300 {
            if random.one_in(3) {
                let number = random.below(KEYS);
                model[number] = now;
                ranges.cut_out(user, &key(number));
            } else {
                // What a scan at this moment would find: keys that were put a while ago were removed since.
                let start = random.below(KEYS);
                let until = |at: &usize| model[*at] + 10 < now;
                let row = (start..KEYS)
                    .take_while(until)
                    .count()
                    .min(1 + random.below(30));
                let ends = (edge(&mut random, start), edge(&mut random, start + row));
                ranges.insert(user, ends.0, ends.1, now, row as u64);
            }
            assert!(ranges.len() <= MAX_RANGES);
            let from = random.below(KEYS);
            let at = now - random.below(now as usize) as u64;
            for way in [Way::Forward, Way::Backward] {
                let Some(end) = end(&ranges, from, at, way) else {
                    continue;
                };
                told += 1;
                let row = match way {
                    Way::Forward => from..end,
                    Way::Backward => end..from + 1,
                };
                assert!(row.contains(&from), "{from} {way:?} to {end}");
                let alive = row
                    .clone()
                    .find(|number| model[*number] >= at && model[*number] > 0);
                assert_eq!(
                    alive, None,
                    "seed {seed}, {way:?} from {from} to {end} at {at}"
                );
            }
        }
        assert!(told > 20, "seed {seed} tells nothing");
    }
}

#[test]
fn neighbours_are_one_way_and_gaps_end_it() {
    let user = &Comparator::Bytewise;
    let mut ranges = Ranges::default();
    let before = |number| Edge::Before(key(number));
    ranges.insert(user, before(1), before(5), 10, 4);
    ranges.insert(user, before(3), before(9), 20, 4);
    ranges.insert(user, before(10), before(12), 20, 4);
    assert_eq!(end(&ranges, 2, 20, Way::Forward), Some(9));
    // What was learnt later tells nothing of an earlier moment, and does not hide what was learnt earlier.
    assert_eq!(end(&ranges, 2, 15, Way::Forward), Some(5));
    assert_eq!(end(&ranges, 6, 15, Way::Forward), None);
    assert_eq!(end(&ranges, 8, 20, Way::Backward), Some(1));
    assert_eq!(end(&ranges, 9, 20, Way::Forward), None);
    ranges.cut_out(user, &key(3));
    assert_eq!(end(&ranges, 1, 20, Way::Forward), Some(3));
    assert_eq!(end(&ranges, 3, 20, Way::Forward), None);
    assert_eq!(end(&ranges, 4, 20, Way::Forward), Some(9));
}

#[test]
fn oldest_neighbours_become_one_range() {
    let user = &Comparator::Bytewise;
    let mut ranges = Ranges::default();
    for number in 0..KEYS {
        let edges = (Edge::Before(key(number)), Edge::After(key(number)));
        ranges.insert(user, edges.0, edges.1, 10 + number as u64, 1);
        let next = Edge::Before(key(number + 1));
        ranges.insert(user, Edge::After(key(number)), next, 10 + number as u64, 1);
        assert!(ranges.len() <= MAX_RANGES);
    }
    let last = 9 + KEYS as u64;
    assert_eq!(end(&ranges, 0, last, Way::Forward), Some(KEYS));
    // A scan that began a little earlier still knows most.
    assert!(end(&ranges, 0, last - 2, Way::Forward) >= Some(KEYS - 4));
}
