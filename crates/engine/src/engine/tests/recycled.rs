//! Reads beside writers that use the memory of memtables again and again, and beside a leader that removes tables.
//!
//! What must hold: each answer is one that was right at some moment between the call and its end; a cursor shows one moment
//! from its first step to its last; nobody sees an error, or what lies in the memory by chance.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::scope;

use level_party_format::filename;

use super::super::Engine;
use super::members::{Contents, EACH_MEMORY, Member, Memory, Shared, fill, text};
use crate::base::steps::Step;
use crate::planted;
use crate::support::{Rng, all, contents, get, put, sweep, tiny};
use crate::testing::SetOnDrop;
use crate::{Cursor, Fs, Options, Result, Write, WriteBatch};

/// Few entries fill a memtable.
fn tinier() -> Options {
    Options {
        write_buffer_size: 2 << 10,
        ..tiny()
    }
}

/// The name of the log of the region that is written.
fn log_in_use(engine: &Engine) -> String {
    let control = &engine.shared.member.control;
    filename::log(control.region(active(engine)).log())
}

/// The counter of the region that is written.
fn active(engine: &Engine) -> u32 {
    engine.shared.member.control.view().active
}

/// Writes until so many regions are full.
fn switch(engine: &Engine, times: u32) {
    let first = active(engine);
    let mut noted = Contents::new();
    while active(engine).wrapping_sub(first) < times {
        fill(engine, "filler", 10, &mut noted);
    }
}

/// How far the writers of some keys are: a key's values are numbered.
struct Progress {
    begun: Vec<AtomicU64>,
    done: Vec<AtomicU64>,
    /// Readers end.
    is_over: AtomicBool,
}

impl Progress {
    fn new(keys: usize) -> Progress {
        let numbers = || (0..keys).map(|_| AtomicU64::new(0)).collect();
        Progress {
            begun: numbers(),
            done: numbers(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Values of a key differ in their length, too.
    fn value(key: usize, number: u64) -> Vec<u8> {
        let len = 10 + (key * 7 + number as usize * 13) % 90;
        format!("{number} {:->len$}", text(key)[5]).into_bytes()
    }

    fn number(key: usize, value: &[u8]) -> u64 {
        let written = String::from_utf8_lossy(value);
        let number = written.split(' ').next().and_then(|n| n.parse().ok());
        let number = number.unwrap_or_else(|| panic!("nobody wrote {written:?}"));
        assert_eq!(value, Progress::value(key, number), "key {key}");
        number
    }

    /// Writes a writer's keys in turns.
    fn write(
        &self,
        engine: &Engine,
        own: impl Iterator<Item = usize> + Clone,
        on: impl Fn() -> bool,
    ) {
        let _over = SetOnDrop(&self.is_over);
        for number in 1.. {
            for key in own.clone() {
                if !on() {
                    return;
                }
                self.begun[key].store(number, Ordering::SeqCst);
                put(engine, &text(key), &Progress::value(key, number)).unwrap();
                self.done[key].store(number, Ordering::SeqCst);
            }
        }
    }

    /// Reads until the writers end. Gives how often.
    fn read(&self, seed: u64, get: impl Fn(&[u8]) -> Option<Vec<u8>>) -> u64 {
        let mut random = Rng(seed);
        let mut seen = vec![0; self.done.len()];
        let mut reads = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let key = random.below(seen.len() as u64) as usize;
            let at_least = self.done[key].load(Ordering::SeqCst).max(seen[key]);
            let value = get(&text(key));
            let at_most = self.begun[key].load(Ordering::SeqCst);
            let number = value.map_or(0, |value| Progress::number(key, &value));
            assert!(
                (at_least..=at_most).contains(&number),
                "key {key} has {number}, and not {at_least} to {at_most}"
            );
            seen[key] = number;
            reads += 1;
        }
        reads
    }
}

/// The value of a key, as it is lent.
fn lent(engine: &Engine, key: &[u8]) -> Option<Vec<u8>> {
    engine.get_with(key, None, <[u8]>::to_vec).unwrap()
}

/// Members, of which some never write, get keys while two members write them through many regions.
pub(crate) fn gets_beside_switches_are_right(memory: Memory) {
    const KEYS: usize = 40;
    const SWITCHES: u32 = 250;
    let shared = Shared::new(memory, tinier());
    let (one, other) = shared.two_members();
    let readers = [shared.member(false), shared.member(false)];
    let progress = Progress::new(KEYS);
    let first = active(&one.engine);
    let on = || active(&one.engine).wrapping_sub(first) < SWITCHES;
    let bug = planted::on_this_thread();
    scope(|threads| {
        for (of, member) in [&one, &other].into_iter().enumerate() {
            let progress = &progress;
            threads.spawn(move || {
                planted::switch_on(bug);
                progress.write(&member.engine, (of..KEYS).step_by(2), on);
            });
            threads.spawn(move || {
                planted::switch_on(bug);
                progress.read(of as u64, |key| get(&member.engine, key))
            });
        }
        for (seed, reader) in readers.iter().enumerate() {
            let progress = &progress;
            threads.spawn(move || {
                planted::switch_on(bug);
                progress.read(9 + seed as u64, |key| lent(&reader.engine, key))
            });
        }
    });
}

/// A read is held up between its view and its first look, until each of the view's regions was used again.
pub(crate) fn stopped_read_is_made_again(memory: Memory) {
    let shared = Shared::new(memory, tinier());
    let (writer, reader) = shared.two_members();
    let reads = [get, lent].into_iter();
    for (back, read) in (0..3).flat_map(|back| reads.clone().map(move |read| (back, read))) {
        put(&writer.engine, b"key", b"old").unwrap();
        switch(&writer.engine, back);
        let (answers, answer) = channel();
        let stopped = reader.stop_at(Step::Read, move |engine| {
            let answered = read(engine, b"key");
            answers.send(answered).expect("the test waits");
        });
        // The active region's slot is used again first where it is the oldest.
        switch(&writer.engine, 9);
        stopped.go_on();
        assert_eq!(answer.recv().unwrap().as_deref(), Some(&b"old"[..]));
    }
}

/// A member that follows to a region is held up before it opens the log, until that is in tables and removed.
pub(crate) fn late_member_follows_again(memory: Memory) {
    let shared = Shared::new(memory, tinier());
    let (writer, late) = shared.two_members();
    switch(&writer.engine, 1);
    let stopped = late.stop_at(Step::OpenLog, |engine| {
        put(engine, b"key", b"late").unwrap();
    });
    let log = log_in_use(&writer.engine);
    switch(&writer.engine, 1);
    writer.engine.flush().unwrap();
    sweep(&writer.engine);
    assert!(!shared.fs.exists(&log).unwrap());
    stopped.go_on();
    assert_eq!(get(&writer.engine, b"key").unwrap(), b"late");
}

/// Groups of keys, each of which is written at once.
const GROUPS: usize = 6;
const IN_GROUP: usize = 5;

fn write_group(engine: &Engine, group: usize, number: u64) {
    let mut batch = WriteBatch::new();
    for key in 0..IN_GROUP {
        let value = format!("{number} {key:>60}");
        batch.put(format!("{group}/{key}").as_bytes(), value.as_bytes());
    }
    engine.write(Write::new(batch)).unwrap();
}

fn write_groups(engine: &Engine, number: u64) {
    (0..GROUPS).for_each(|group| write_group(engine, group, number));
}

/// The number of each group, of which all keys must be there with the same one. Other keys are passed over.
fn groups(shown: &Contents) -> Vec<u64> {
    let number_in = |group: usize| {
        let numbers = (0..IN_GROUP).map(|key| {
            let value = shown.get(format!("{group}/{key}").as_bytes());
            let value = std::str::from_utf8(value.expect("it was written")).unwrap();
            value.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        let numbers: Vec<u64> = numbers.collect();
        assert!(
            numbers.iter().all(|number| *number == numbers[0]),
            "group {group}: {numbers:?}"
        );
        numbers[0]
    };
    (0..GROUPS).map(number_in).collect()
}

/// A cursor of each kind goes from end to end while everything is written anew, and the regions it reads used again.
pub(crate) fn cursors_keep_their_moment(memory: Memory) {
    let shared = Shared::new(memory, tinier());
    let (one, other) = shared.two_members();
    let reader = shared.member(false);
    write_groups(&one.engine, 1);
    switch(&one.engine, 5);
    for number in 2..5 {
        // In tables, in frozen memtables and in the active one.
        write_groups(&other.engine, number);
        (0..GROUPS / 2).for_each(|group| write_group(&one.engine, group, number));
        let expected = contents(&one.engine);
        assert_eq!(groups(&expected), [number; GROUPS]);
        let pin = one.engine.pin();
        let cursors = [
            one.engine.cursor().unwrap(),
            other.engine.cursor().unwrap(),
            other.engine.cursor_at(pin.sequence()).unwrap(),
            reader.engine.cursor_at(pin.sequence()).unwrap(),
        ];
        for (of, mut cursor) in cursors.into_iter().enumerate() {
            let churn = || {
                write_groups(&one.engine, number + 100);
                switch(&other.engine, 5);
            };
            let forward = walk(&mut cursor, true, churn);
            assert_eq!(forward, expected, "{of} forward");
            let backward = walk(&mut cursor, false, churn);
            assert_eq!(backward, expected, "{of} backward");
            churn();
            assert_eq!(all(&mut cursor), expected, "{of} again");
        }
    }
}

/// What a scan gathers, right or void, while `churn` is done in its middle.
fn gather(cursor: &mut Cursor, churn: impl FnOnce()) -> Result<Contents> {
    let mut shown = Contents::new();
    let mut churn = Some(churn);
    cursor.seek_to_first()?;
    while cursor.valid() {
        if let Some(churn) = churn.take_if(|_| shown.len() == 3) {
            churn();
        }
        shown.insert(cursor.key().to_vec(), cursor.value().to_vec());
        cursor.next()?;
    }
    Ok(shown)
}

/// A scan during which the regions that it reads are used again gathers anew, and then goes on whatever is written meanwhile.
pub(crate) fn scan_over_recycled_regions_gathers_anew(memory: Memory) {
    let shared = Shared::new(memory, tinier());
    let (one, other) = shared.two_members();
    write_groups(&one.engine, 1);
    let expected = contents(&one.engine);
    let pin = one.engine.pin();
    let mut times = 0;
    let scanned = one.engine.scan_at(pin.sequence(), |mut cursor| {
        times += 1;
        gather(&mut cursor, || {
            write_groups(&other.engine, 2);
            switch(&other.engine, 9);
        })
    });
    assert_eq!(scanned.unwrap(), expected);
    assert_eq!(times, 2);
}

/// All that a cursor shows in one direction, while `churn` is done now and then. Each key comes once.
fn walk(cursor: &mut Cursor, forward: bool, churn: impl Fn()) -> Contents {
    let mut shown = Contents::new();
    match forward {
        true => cursor.seek_to_first().unwrap(),
        false => cursor.seek_to_last().unwrap(),
    }
    for step in 0.. {
        if !cursor.valid() {
            break;
        }
        if step % 8 == 3 {
            churn();
        }
        let before = shown.insert(cursor.key().to_vec(), cursor.value().to_vec());
        assert_eq!(before, None, "a key is shown twice");
        match forward {
            true => cursor.next().unwrap(),
            false => cursor.prev().unwrap(),
        }
    }
    shown
}

/// Scans in both directions beside two members that write: each shows whole groups.
pub(crate) fn scans_beside_switches_show_one_moment(memory: Memory) {
    const SWITCHES: u32 = 150;
    let shared = Shared::new(memory, tinier());
    let (one, other) = shared.two_members();
    let reader = shared.member(false);
    write_groups(&one.engine, 0);
    let first = active(&one.engine);
    let on = || active(&one.engine).wrapping_sub(first) < SWITCHES;
    let is_over = AtomicBool::new(false);
    let bug = planted::on_this_thread();
    scope(|threads| {
        let scan = |scanned: &dyn Fn() -> Vec<u64>| {
            planted::switch_on(bug);
            let mut before = vec![0; GROUPS];
            while !is_over.load(Ordering::SeqCst) {
                // It goes forward and then backward, and both show the same.
                let now = scanned();
                assert!(before.iter().zip(&now).all(|(before, now)| before <= now));
                before = now;
            }
        };
        for (of, member) in [&one, &other].into_iter().enumerate() {
            let is_over = &is_over;
            threads.spawn(move || {
                planted::switch_on(bug);
                let _over = SetOnDrop(is_over);
                for number in 1.. {
                    for group in (of..GROUPS).step_by(2).take_while(|_| on()) {
                        write_group(&member.engine, group, number);
                    }
                    if !on() {
                        return;
                    }
                }
            });
            threads.spawn(move || {
                scan(&|| {
                    let mut cursor = member.engine.cursor().unwrap();
                    groups(&all(&mut cursor))
                });
            });
        }
        let (engine, reader) = (&one.engine, &reader.engine);
        threads.spawn(move || {
            scan(&|| {
                let pin = engine.pin();
                let scanned =
                    engine.scan_at(pin.sequence(), |mut cursor| gather(&mut cursor, || ()));
                groups(&scanned.unwrap())
            });
        });
        threads.spawn(move || {
            scan(&|| {
                // The cursor has a pin of its own when this one goes.
                let pin = engine.pin();
                let mut cursor = reader.cursor_at(pin.sequence()).unwrap();
                drop(pin);
                groups(&all(&mut cursor))
            });
        });
    });
}

/// Tables that a reader's view has are compacted, and removed before it opens them.
pub(crate) fn removed_tables_are_found_in_the_next_version(memory: Memory) {
    let shared = Shared::new(memory, tiny());
    let (leader, member) = shared.two_members();
    let mut noted = Contents::new();
    for round in 0..3 {
        fill(&leader.engine, "a", 200, &mut noted);
        fill(&leader.engine, &format!("b{round}"), 50, &mut noted);
        leader.engine.flush().unwrap();
        // Nobody has opened these tables but the leader.
        let (reader, pin) = (shared.member(false), leader.engine.pin());
        let mut cursors = [
            reader.engine.cursor_at(pin.sequence()).unwrap(),
            member.engine.cursor().unwrap(),
        ];
        let before = tables_of(&member);
        let (answers, answer) = channel();
        let stopped = member.stop_at(Step::Read, move |engine| {
            let answered = get(engine, b"a0007");
            answers.send(answered).expect("the test waits");
        });
        rewrite_tables(&leader.engine);
        let left = shared.fs.list().unwrap();
        assert!(!before.is_empty());
        assert!(before.iter().all(|name| !left.contains(name)), "{left:?}");
        stopped.go_on();
        let expected = noted.get(&b"a0007"[..]);
        assert_eq!(answer.recv().unwrap().as_ref(), expected);
        for (of, cursor) in cursors.iter_mut().enumerate() {
            assert_eq!(all(cursor), noted, "{of} in round {round}");
        }
    }
}

/// The names of the tables of a member's view.
fn tables_of(member: &Member) -> Vec<String> {
    let view = member.engine.view().unwrap();
    let files = view.version.files();
    files
        .map(|(_, file)| filename::table(file.number))
        .collect()
}

/// Brings all to other tables, and has the ones before removed.
fn rewrite_tables(engine: &Engine) {
    // A table that nothing overlaps would only be moved.
    for key in [&b"a0000"[..], b"zzz"] {
        put(engine, key, b"over all").unwrap();
        crate::support::delete(engine, key).unwrap();
    }
    engine.flush().unwrap();
    engine.compact_range(None, None).unwrap();
    sweep(engine);
}

const RECYCLED: [Memory; 2] = [Memory::Recycled, Memory::RecycledLarge];

#[test]
fn recycled_region_is_never_read() {
    RECYCLED
        .into_iter()
        .for_each(gets_beside_switches_are_right);
}

#[test]
fn gets_beside_switches_of_own_memory_are_right() {
    gets_beside_switches_are_right(Memory::Own);
}

#[test]
fn read_stopped_over_recycled_regions_is_made_again() {
    RECYCLED.into_iter().for_each(stopped_read_is_made_again);
    stopped_read_is_made_again(Memory::Own);
}

#[test]
fn member_whose_next_log_is_removed_follows_again() {
    EACH_MEMORY.into_iter().for_each(late_member_follows_again);
}

#[test]
fn cursor_over_recycled_regions_shows_one_moment() {
    RECYCLED.into_iter().for_each(cursors_keep_their_moment);
    cursors_keep_their_moment(Memory::Own);
}

#[test]
fn scan_whose_view_became_too_old_gathers_anew() {
    scan_over_recycled_regions_gathers_anew(Memory::Recycled);
}

#[test]
fn scan_beside_switches_shows_one_moment() {
    EACH_MEMORY
        .into_iter()
        .for_each(scans_beside_switches_show_one_moment);
}

#[test]
fn reader_of_removed_table_finds_next_version() {
    EACH_MEMORY
        .into_iter()
        .for_each(removed_tables_are_found_in_the_next_version);
}
