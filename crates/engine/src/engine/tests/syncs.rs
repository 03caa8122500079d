//! Syncs of several members: one is stopped or dies in a call, the disk loses what was written and tells it as Linux does,
//! the power fails.
//!
//! What must hold: a write that was answered with sync is durable. Where what was written to a log is lost, that is by the
//! table of its region.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};

use level_party_format::filename;
use level_party_format::log::BLOCK_LEN;

use super::super::Engine;
use super::members::{Contents, Member, Memory, Shared, Stopped, fill};
use crate::base::control::{BellKind, Leading};
use crate::base::steps::Step;
use crate::harness::disk::Disk;
use crate::harness::record::{Files, Recorded, Recorder, Step as DiskStep, mem_fs};
use crate::harness::states::after_power_loss;
use crate::planted;
use crate::support::{Rng, contents, get, put, put_sync, tiny};
use crate::testing::reporting::ReportingFs;
use crate::{ErrorKind, Fs, MemFs, Options, RecoveryMode, Result, Write, WriteBatch};

/// The number of the log of the region that is written.
fn log_in_use(engine: &Engine) -> u64 {
    let control = &engine.shared.member.control;
    control.region(control.view().active).log()
}

/// Whether the log of a region is in tables.
fn is_in_tables(engine: &Engine, log: u64) -> bool {
    engine.shared.log_number().unwrap() > log
}

/// Makes a write with sync on a thread of its own.
pub(super) fn syncing(member: &Member, key: &'static [u8]) -> JoinHandle<Result<u64>> {
    let engine = member.engine.clone();
    let bug = planted::on_this_thread();
    spawn(move || {
        planted::switch_on(bug);
        put_sync(&engine, key, b"synced")
    })
}

/// Waits until somebody sleeps for the end of a sync, or the thread has ended.
fn until_it_waits(engine: &Engine, thread: &JoinHandle<Result<u64>>) {
    let (word, _) = engine.shared.member.control.bell(BellKind::Sync);
    while word.load(std::sync::atomic::Ordering::SeqCst) >> 63 == 0 && !thread.is_finished() {
        std::thread::yield_now();
    }
}

/// A leader and a member that is stopped when the system has told it of the end of its sync. If `is_lost`, what was written
/// to the log is lost by then.
pub(super) struct Syncing {
    pub(super) shared: Shared,
    pub(super) fs: ReportingFs,
    pub(super) leader: Member,
    pub(super) member: Member,
    pub(super) stopped: Stopped,
    log: u64,
}

pub(super) fn stopped_in_a_sync(is_lost: bool, dies: bool) -> Syncing {
    let shared = Shared::new(Memory::Own, tiny());
    let fs = ReportingFs::new(&shared.fs);
    let leader = shared.member_over(true, Arc::new(fs.process()));
    let member = shared.member_over(false, Arc::new(fs.process()));
    put(&leader.engine, b"a", b"1").unwrap();
    let log = log_in_use(&leader.engine);
    if is_lost {
        fs.lose_writes(&filename::log(log));
    }
    let act = move |engine: &Engine| {
        let kind = put_sync(engine, b"b", b"2").err().map(|error| error.kind());
        assert_eq!(kind, is_lost.then_some(ErrorKind::NotDurable));
    };
    let stopped = match dies {
        true => member.die_at(Step::Synced, act),
        false => member.stop_at(Step::Synced, act),
    };
    Syncing {
        shared,
        fs,
        leader,
        member,
        stopped,
        log,
    }
}

/// A member that opens the log when another one was told of its loss, and nobody else is, does not sync it in vain.
pub(crate) fn late_opener_is_not_deceived() {
    let one = stopped_in_a_sync(true, false);
    let late = one.shared.member_over(false, Arc::new(one.fs.process()));
    let writing = syncing(&late, b"c");
    until_it_waits(&late.engine, &writing);
    one.stopped.go_on();
    writing.join().unwrap().unwrap();
    assert!(is_in_tables(&late.engine, one.log), "the log has lost it");
}

#[test]
fn late_opener_waits_for_a_sync_under_way() {
    late_opener_is_not_deceived();
    // Where nothing was lost it syncs by itself, and no table is made for it.
    let one = stopped_in_a_sync(false, false);
    let late = one.shared.member_over(false, Arc::new(one.fs.process()));
    let writing = syncing(&late, b"c");
    until_it_waits(&late.engine, &writing);
    assert!(!writing.is_finished());
    one.stopped.go_on();
    writing.join().unwrap().unwrap();
    assert!(!is_in_tables(&late.engine, one.log));
    put_sync(&one.member.engine, b"d", b"1").unwrap();
    assert!(!is_in_tables(&late.engine, one.log));
}

/// A sync that does not end holds up nobody who had the log open, and who opened it later for no longer than a moment.
pub(crate) fn stopped_syncer_deceives_nobody() {
    let one = stopped_in_a_sync(true, false);
    let late = one.shared.member_over(false, Arc::new(one.fs.process()));
    put_sync(&late.engine, b"c", b"synced").unwrap();
    assert!(is_in_tables(&late.engine, one.log), "the log has lost it");
    put_sync(&late.engine, b"d", b"synced").unwrap();
    one.stopped.go_on();
    assert_eq!(contents(&one.leader.engine).len(), 4);
}

#[test]
fn stopped_syncer_holds_up_a_late_opener_for_a_moment() {
    stopped_syncer_deceives_nobody();
    let one = stopped_in_a_sync(false, false);
    put_sync(&one.leader.engine, b"c", b"synced").unwrap();
    assert!(
        !is_in_tables(&one.leader.engine, one.log),
        "by its own file"
    );
    one.stopped.go_on();
}

#[test]
fn member_that_died_in_a_sync_fails_its_log() {
    // Found by a member that opened the log later.
    let one = stopped_in_a_sync(true, true);
    let late = one.shared.member_over(false, Arc::new(one.fs.process()));
    put_sync(&late.engine, b"c", b"synced").unwrap();
    assert!(is_in_tables(&late.engine, one.log));
    // Found by the leader, which clears the slot.
    let one = stopped_in_a_sync(false, true);
    let member = &one.leader.engine.shared.member;
    Leading::new(member.control.clone()).raise_horizon(0, |other| member.is_dead(other));
    let late = one.shared.member_over(false, Arc::new(one.fs.process()));
    for engine in [&late.engine, &one.leader.engine] {
        put_sync(engine, b"c", b"synced").unwrap();
        assert!(
            is_in_tables(engine, one.log),
            "nobody knows what it was told"
        );
    }
}

/// Waits until the leader's thread has looked for work since this was called.
fn until_the_leader_has_looked(leader: &Member) {
    let shared = &leader.engine.shared;
    let (word, _) = shared.member.control.bell(BellKind::Work);
    for _ in 0..2 {
        shared.bell().ring();
        while word.load(std::sync::atomic::Ordering::SeqCst) >> 63 == 0 {
            std::thread::yield_now();
        }
    }
}

/// A member writes to a log of its own making, which loses that, and dies before anybody else writes there.
pub(crate) fn error_outlives_the_writer() {
    let shared = Shared::new(Memory::Own, tiny());
    let fs = ReportingFs::new(&shared.fs);
    let leader = shared.member_over(true, Arc::new(fs.process()));
    let process = fs.process();
    let end = process.end();
    let dying = shared.member_over(false, Arc::new(process));
    let first = log_in_use(&dying.engine);
    let frozen = leader.flush_nothing();
    let mut noted = Contents::new();
    while log_in_use(&dying.engine) == first {
        fill(&dying.engine, "a", 20, &mut noted);
    }
    let log = log_in_use(&dying.engine);
    drop(frozen);
    until_the_leader_has_looked(&leader);
    fs.lose_writes(&filename::log(log));
    let dead = dying.die_at(Step::LockTaken, |engine| {
        let _ = put(engine, b"never", b"");
    });
    end.close(&[filename::log(log)]);
    let late = shared.member_over(false, Arc::new(fs.process()));
    match put_sync(&late.engine, b"b", b"2") {
        Ok(_) => assert!(is_in_tables(&late.engine, log), "the log has lost it"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotDurable, "{error}"),
    }
    put_sync(&late.engine, b"c", b"3").unwrap();
    assert!(is_in_tables(&late.engine, log), "the log has lost it");
    drop(dead);
}

#[test]
fn error_of_a_dead_members_log_is_told_to_others() {
    error_outlives_the_writer();
}

fn after_reboot() -> Options {
    Options {
        recovery: RecoveryMode::AfterReboot,
        ..tiny()
    }
}

/// Loses power now, in every way that is looked at: what was answered with sync is there.
fn lose_power(recorder: &Recorder, synced: &[&[u8]]) {
    let mut disk = Disk::new(&Files::new());
    for recorded in recorder.steps() {
        disk.apply(&recorded.step);
    }
    for (files, story) in after_power_loss(&disk, &mut Rng(1), 30) {
        let engine = Engine::open(Arc::new(mem_fs(&files)), after_reboot()).unwrap();
        for key in synced {
            assert!(get(&engine, key).is_some(), "{key:?} is lost: {story}");
        }
    }
}

/// A sync is under way when the member that holds the lock dies: its record is cut after the sync began. What the next log
/// has must not be lost behind the old end of that one.
pub(crate) fn sync_begun_before_a_cut_says_nothing() {
    let shared = Shared::new(Memory::Own, tiny());
    let recorder = Recorder::new(&Files::new(), 0);
    let member = |founds| shared.member_over(founds, Arc::new(recorder.clone()));
    let (leader, slow, dying) = (member(true), member(false), member(false));
    let _idle = leader.do_nothing();
    let stopped = slow.stop_at(Step::Synced, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    let dead = dying.die_at(Step::Insert, |engine| {
        let _ = put(engine, b"cut", b"");
    });
    put(&leader.engine, b"b", b"2").unwrap();
    stopped.go_on();
    put_sync(&leader.engine, b"c", b"3").unwrap();
    lose_power(&recorder, &[b"a", b"b", b"c"]);
    drop(dead);
}

#[test]
fn sync_begun_before_a_cut_leaves_the_log_unsynced() {
    sync_begun_before_a_cut_says_nothing();
}

/// A write is published while a sync of its process is under way, which does not cover it.
pub(crate) fn sync_under_way_covers_nothing_later() {
    let shared = Shared::new(Memory::Own, tiny());
    let recorder = Recorder::new(&Files::new(), 0);
    let member = shared.member_over(true, Arc::new(recorder.clone()));
    let stopped = member.stop_at(Step::Synced, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    let later = syncing(&member, b"b");
    while member.engine.last_sequence() < 2 {
        assert!(!later.is_finished(), "{:?}", later.join());
        std::thread::yield_now();
    }
    assert_eq!(
        get(&member.engine, b"b").unwrap(),
        b"synced",
        "seen before it is durable"
    );
    assert!(!later.is_finished());
    stopped.go_on();
    later.join().unwrap().unwrap();
    lose_power(&recorder, &[b"a", b"b"]);
}

#[test]
fn sync_under_way_covers_nothing_that_is_published_later() {
    sync_under_way_covers_nothing_later();
}

#[test]
fn write_goes_on_beside_a_sync_of_its_process() {
    let shared = Shared::new(Memory::Own, tiny());
    let member = shared.member(true);
    let stopped = member.stop_at(Step::Sync, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    assert_eq!(put(&member.engine, b"b", b"2").unwrap(), 2);
    assert_eq!(get(&member.engine, b"a").unwrap(), b"1");
    stopped.go_on();
}

/// Callers that wait for one sync share the next.
#[test]
fn writes_that_wait_for_a_sync_share_the_next() {
    let shared = Shared::new(Memory::Own, tiny());
    let member = shared.member(true);
    let before = shared.fs.file_syncs();
    let stopped = member.stop_at(Step::Sync, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    let waiting: Vec<_> = [&b"b"[..], b"c", b"d", b"e"]
        .map(|key| syncing(&member, key))
        .into();
    while member.engine.last_sequence() < 5 {
        std::thread::yield_now();
    }
    stopped.go_on();
    for thread in waiting {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(shared.fs.file_syncs() - before, 2);
}

/// A close waits for the syncs under way.
#[test]
fn close_waits_for_a_sync_under_way() {
    let shared = Shared::new(Memory::Own, tiny());
    let member = shared.member(true);
    let stopped = member.stop_at(Step::Sync, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    let engine = member.engine.clone();
    let closing = spawn(move || engine.close());
    // It has ended the queue, and waits.
    while put(&member.engine, b"b", b"2").is_ok() {}
    assert!(!closing.is_finished());
    stopped.go_on();
    closing.join().unwrap().unwrap();
}

/// What was written: each write puts its name under `last`, so that what an opening shows can be told.
#[derive(Default)]
struct Written {
    /// What was published, in order.
    writes: Vec<Contents>,
    /// What dead members had in flight, and how many writes came before.
    cut: Vec<(usize, Contents)>,
}

impl Written {
    /// A write of so many keys.
    fn write(name: &str, keys: usize, len: usize) -> Contents {
        let named = (b"last".to_vec(), name.as_bytes().to_vec());
        let key = |number| format!("{name} {number}").into_bytes();
        let keys = (1..keys).map(|number| (key(number), vec![b'.'; len]));
        keys.chain([named]).collect()
    }

    fn after(&self, count: usize) -> Contents {
        self.writes[..count]
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// It shows all writes up to one, at least `floor` of them, or the write in flight behind them as well.
    fn check(&self, shown: &Contents, floor: usize, story: &str) {
        let is_last = |write: &Contents| write.get(&b"last"[..]) == shown.get(&b"last"[..]);
        let count = self.writes.iter().rposition(is_last).map_or(0, |at| at + 1);
        let in_flight = self.cut.iter().find(|(_, write)| is_last(write));
        let (count, expected) = match in_flight {
            Some((before, write)) => {
                let mut expected = self.after(*before);
                expected.extend(write.clone());
                (*before, expected)
            }
            None => (count, self.after(count)),
        };
        assert!(count >= floor, "{count} of at least {floor}: {story}");
        assert!(
            *shown == expected,
            "not what there was after {count}: {story}"
        );
    }
}

fn write_of(contents: &Contents, sync: bool) -> Write {
    let mut batch = WriteBatch::new();
    contents
        .iter()
        .for_each(|(key, value)| batch.put(key, value));
    Write::new(batch).sync(sync)
}

/// Loses power at each call: what is found is a beginning of what was written, with all that was synced.
fn lose_power_at_each_call(recorder: &Recorder, written: &Written, random: usize) {
    let mut disk = Disk::new(&Files::new());
    let mut seen = BTreeSet::new();
    let steps = recorder.steps();
    let end = recorder.marks();
    for at in 0..=steps.len() {
        let next = steps.get(at);
        let floor = next.map_or(end, |next| next.marks).synced;
        for (files, story) in after_power_loss(&disk, &mut Rng(at as u64), random) {
            if !seen.insert((files.clone(), floor)) {
                continue;
            }
            let engine = Engine::open(Arc::new(mem_fs(&files)), after_reboot()).unwrap();
            let story = format!("call {at} of {}: {story}", steps.len());
            written.check(&contents(&engine), floor as usize, &story);
        }
        if let Some(next) = next {
            disk.apply(&next.step);
        }
    }
}

/// The writes of this length that fit into one region.
fn writes_of_a_region(len: usize) -> usize {
    let shared = Shared::new(Memory::Own, tiny());
    let member = shared.member(true);
    let first = log_in_use(&member.engine);
    let mut written = 0;
    while log_in_use(&member.engine) == first {
        let write = Written::write(&format!("{written:02}"), 2, len);
        member.engine.write(write_of(&write, false)).unwrap();
        written += 1;
    }
    written - 1
}

/// What a dead holder had in flight has as many operations as the whole next log. If that log is lost with the power, and the
/// old end of the one before comes back, the log after it seems to follow.
pub(crate) fn cut_log_is_durable_before_the_second_switch() {
    const LEN: usize = 2_000;
    let in_a_region = writes_of_a_region(LEN);
    let shared = Shared::new(Memory::Own, tiny());
    let recorder = Recorder::new(&Files::new(), 0);
    let member = |founds| shared.member_over(founds, Arc::new(recorder.clone()));
    let (leader, dying) = (member(true), member(false));
    let _idle = leader.do_nothing();
    let mut written = Written::default();
    let mut put = |engine: &Engine, name: &str| {
        let write = Written::write(name, 2, LEN);
        engine.write(write_of(&write, false)).unwrap();
        written.writes.push(write);
    };
    put(&leader.engine, "first");
    // Each write has two operations.
    let in_flight = Written::write("cut", 2 * in_a_region, 1);
    let write = write_of(&in_flight, false);
    let dead = dying.die_at(Step::Insert, |engine| {
        let _ = engine.write(write);
    });
    let first = log_in_use(&leader.engine);
    for number in 0..in_a_region + 2 {
        put(&leader.engine, &format!("{number:02}"));
    }
    assert_eq!(log_in_use(&leader.engine), first + 2);
    written.cut.push((1, in_flight));
    let steps = recorder.steps();
    let appended = steps
        .iter()
        .rposition(|it| matches!(it.step, DiskStep::Write { .. }));
    let synced = steps
        .iter()
        .position(|it| matches!(it.step, DiskStep::SyncAll { .. }));
    lose_power_at_each_call(&recorder, &written, 200);
    assert!(synced.is_some() && synced < appended);
    drop(dead);
}

#[test]
fn cut_log_is_durable_before_a_second_switch() {
    cut_log_is_durable_before_the_second_switch();
}

#[test]
fn leader_makes_a_cut_log_durable() {
    let shared = Shared::new(Memory::Own, tiny());
    let recorder = Recorder::new(&Files::new(), 0);
    let member = |founds| shared.member_over(founds, Arc::new(recorder.clone()));
    let (leader, dying) = (member(true), member(false));
    let dead = dying.die_at(Step::Insert, |engine| {
        let _ = put(engine, b"cut", b"");
    });
    put(&leader.engine, b"a", b"1").unwrap();
    until_the_leader_has_looked(&leader);
    let synced = |it: &Recorded| matches!(it.step, DiskStep::SyncAll { .. });
    assert!(recorder.steps().iter().any(synced));
    drop(dead);
}

/// Members that write in turn, with sync now and then; some die in a commit or a switch, some find the disk full.
pub(crate) fn members_lose_power(seed: u64) {
    const DEATHS: [Step; 5] = [
        Step::Append,
        Step::Insert,
        Step::Unlock,
        Step::SetUp,
        Step::Named,
    ];
    let mut rng = Rng(seed);
    let options = Options {
        write_buffer_size: if rng.one_in(2) { 3 << 10 } else { 64 << 10 },
        ..tiny()
    };
    let shared = Shared::new(Memory::Own, options);
    let recorder = Recorder::new(&Files::new(), 0);
    let member = |founds| shared.member_over(founds, Arc::new(recorder.clone()));
    let leader = member(true);
    let mut others = [member(false), member(false)];
    let mut dead = Vec::new();
    let mut written = Written::default();
    for number in 0..40 {
        let name = format!("{number:02}");
        let (keys, len) = (1 + rng.below(4) as usize, rng.below(300) as usize);
        let write = Written::write(&name, keys, len);
        let sync = rng.one_in(5);
        let at = rng.below(3) as usize;
        if at > 0 && rng.one_in(4) && number < 36 {
            let before = written.writes.len();
            let step = DEATHS[rng.below(DEATHS.len() as u64) as usize];
            let dying = std::mem::replace(&mut others[at - 1], member(false));
            let (last, again) = (leader.engine.last_sequence(), write_of(&write, false));
            let gone = dying.try_to_die_at(step, move |engine| {
                let _ = engine.write(again);
            });
            dead.extend(gone);
            match leader.engine.last_sequence() > last {
                true => written.writes.push(write),
                false => written.cut.push((before, write)),
            }
            continue;
        }
        let engine = if at == 0 {
            &leader.engine
        } else {
            &others[at - 1].engine
        };
        let is_torn = rng.one_in(8);
        if is_torn {
            recorder.tear_next_append();
        }
        match engine.write(write_of(&write, sync)) {
            Ok(_) => {
                assert!(!is_torn);
                written.writes.push(write);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}"),
        }
        if sync && !is_torn {
            recorder.synced(written.writes.len() as u64);
        }
    }
    written.check(&contents(&leader.engine), written.writes.len(), "alive");
    lose_power_at_each_call(&recorder, &written, 2);
    drop(dead);
}

#[test]
fn members_that_lose_power_at_any_call_keep_what_was_synced() {
    (1..=10).for_each(members_lose_power);
}

#[test]
fn synced_writes_write_zeroes_ahead_to_a_block_end() {
    let shared = Shared::new(Memory::Own, Options::default());
    let (leader, member) = shared.two_members();
    let log = filename::log(log_in_use(&leader.engine));
    let len = || shared.fs.read(&log).unwrap().len();
    put(&leader.engine, b"a", b"1").unwrap();
    assert!(len() < 100, "nobody asked for sync");
    put_sync(&leader.engine, b"b", b"2").unwrap();
    let ahead = len();
    assert!(ahead >= BLOCK_LEN && ahead.is_multiple_of(BLOCK_LEN));
    // Within what there is nobody makes it longer, whoever wrote it.
    for engine in [&member.engine, &leader.engine] {
        put_sync(engine, b"c", b"3").unwrap();
        assert_eq!(len(), ahead);
    }
    // A record that a kill may leave in part ends the file.
    put_sync(&member.engine, b"d", &[7; 70_000]).unwrap();
    assert!(len() > 70_000 && !len().is_multiple_of(BLOCK_LEN));
    put_sync(&leader.engine, b"e", b"5").unwrap();
    assert!(len().is_multiple_of(BLOCK_LEN));
    assert_eq!(shared.reopened(), contents(&leader.engine));
}

#[test]
fn opening_takes_a_record_cut_off_in_zeroes_for_torn() {
    let fs = MemFs::new();
    let engine = Engine::open(Arc::new(fs.clone()), Options::default()).unwrap();
    let log = filename::log(log_in_use(&engine));
    put_sync(&engine, b"a", b"1").unwrap();
    let whole = fs.read(&log).unwrap();
    put(&engine, b"b", b"never answered").unwrap();
    let mut torn = fs.read(&log).unwrap();
    drop(engine);
    // Its process was killed when the system had taken a part of the record.
    let end = torn.iter().rposition(|&byte| byte != 0).unwrap();
    torn[end - 5..].fill(0);
    assert_ne!(torn, whole);
    for (bytes, is_torn) in [(whole, false), (torn, true)] {
        let files = MemFs::new();
        for name in fs.list().unwrap() {
            files.write(&name, fs.read(&name).unwrap());
        }
        files.write(&log, bytes);
        let engine = Engine::open(Arc::new(files), Options::default()).unwrap();
        assert_eq!(engine.recovered().dropped.len(), usize::from(is_torn));
        assert_eq!(contents(&engine).len(), 1);
    }
}
