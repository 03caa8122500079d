//! A death and a stop at each step of the engine, each in a process of its own. Nothing acknowledged is lost, nothing comes
//! twice, reads go on, and writes wait for nobody but a stopped holder of the commit lock, whom they name (docs/COMMIT.md).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use level_party::faults::STEPS;
use level_party::{Db, Lead, Readable};
use level_party_os::process::{ProcessState, describe};
use level_party_testkit::{ExecChild, PATIENCE};
use serde_json::{Value, json};

use crate::{FAIL, KILL, PROGRAM, STOP};

/// Bytes of a memtable: a switch comes after some puts. Beside a leader that is stopped in a flush there has to be room for some.
const fn write_buffer(by: By) -> usize {
    match by {
        By::Leading => 1 << 20,
        _ => 64 << 10,
    }
}

/// Bytes of a value of the victim's, and of this process's own: each of them comes to be the one for which there is no room.
const VALUES: [(&str, usize); 2] = [("victim", 10_000), ("own", 7_000)];
/// Puts after which the step was to be reached.
const MOST_PUTS: usize = 1_000;

/// What has a process reach the step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// It puts, and so do others.
    Puts,
    /// It reads.
    Gets,
    /// It puts with sync.
    Syncs,
    /// One of its appends fails.
    FailedAppend,
    /// One of its syncs fails.
    FailedSync,
    /// It puts after a member that died before its record was published.
    DeadHolder,
    /// It puts while another process watches.
    Watched,
    /// It leads, and all put.
    Leading,
    /// It takes the lead over.
    Succession,
}

/// What a process that is stopped at the step keeps from others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Keeps {
    Nothing,
    /// The commit lock: writes time out.
    Lock,
    /// It is another thread of it that may have the commit lock.
    Perhaps,
}

use By::{DeadHolder, FailedAppend, FailedSync, Gets, Leading, Puts, Succession, Syncs, Watched};
use Keeps::{Lock, Nothing, Perhaps};

/// How each step is reached, and at which visit.
const CASES: &[(&str, u32, By, Keeps)] = &[
    ("OpenLog", 1, Puts, Nothing),
    ("OpenLog", 2, Puts, Nothing),
    ("LockTaken", 5, Puts, Lock),
    ("RecordStart", 5, Puts, Lock),
    ("RecordLast", 5, Puts, Lock),
    ("RecordEnd", 5, Puts, Lock),
    ("Append", 5, Puts, Lock),
    ("CutFailed", 1, FailedAppend, Lock),
    ("RestoreEnd", 1, FailedAppend, Lock),
    ("RestoreLast", 1, FailedAppend, Lock),
    ("Insert", 5, Puts, Lock),
    ("Publish", 5, Puts, Lock),
    ("Unlock", 5, Puts, Lock),
    ("Answer", 5, Puts, Nothing),
    ("BeginSync", 2, Syncs, Nothing),
    ("Sync", 2, Syncs, Nothing),
    ("Synced", 2, Syncs, Nothing),
    ("SyncFailed", 1, FailedSync, Nothing),
    ("Cut", 1, DeadHolder, Lock),
    ("Work", 5, Leading, Perhaps),
    ("Flush", 1, Leading, Perhaps),
    ("Read", 5, Gets, Nothing),
    ("SetUp", 1, Puts, Lock),
    ("Install", 1, Puts, Lock),
    ("Name", 1, Puts, Lock),
    ("Named", 1, Puts, Lock),
    ("AppendEdit", 1, Leading, Perhaps),
    ("PublishVersion", 1, Succession, Nothing),
    ("PublishVersion", 2, Leading, Perhaps),
    ("Remove", 1, Leading, Perhaps),
    ("WriteManifest", 1, Succession, Nothing),
    ("Wake", 1, Watched, Perhaps),
    ("Wake", 1, Puts, Perhaps),
];

#[test]
fn every_step_has_a_case() {
    for step in STEPS {
        assert!(CASES.iter().any(|case| case.0 == *step), "{step}");
    }
}

#[test]
fn a_death_at_any_step_loses_and_doubles_nothing() {
    for (step, visit, by, _) in CASES {
        let mut scene = Scene::set(*by, (KILL, &format!("{step}:{visit}")));
        scene.drive(|victim, _| !victim.is_running());
        scene.check_reads();
        scene.put_many();
        scene.check_all();
    }
}

#[test]
fn a_stop_at_any_step_lets_others_read_and_is_named() {
    for (step, visit, by, keeps) in CASES {
        let mut scene = Scene::set(*by, (STOP, &format!("{step}:{visit}")));
        scene.drive(|_, state| state == ProcessState::Stopped);
        scene.check_reads();
        match keeps {
            Nothing => (0..4).for_each(|_| scene.put_here()),
            Lock => assert!(scene.times_out(), "{}", scene.case),
            Perhaps => drop(scene.times_out()),
        }
        scene.victim.resume();
        scene.take_late_answer();
        scene.put_many();
        scene.put_there();
        scene.check_all();
    }
}

/// A victim, this process, and what the database must hold.
struct Scene {
    case: String,
    dir: tempfile::TempDir,
    by: By,
    victim: ExecChild,
    /// This process's own.
    own: Db,
    /// The first leader, where the victim is to succeed it.
    founder: Option<ExecChild>,
    /// One with little time for a write, from when it would not lead in the victim's place.
    hasty: Option<ExecChild>,
    watch: Option<level_party::Watch>,
    /// What was acknowledged.
    sure: BTreeMap<String, String>,
    /// The victim's put that has no answer yet.
    in_flight: Option<(String, String)>,
    puts: usize,
}

impl Scene {
    /// A victim with this variable in its environment, beside others.
    fn set(by: By, fate: (&str, &str)) -> Scene {
        let dir = tempfile::tempdir().expect("a directory");
        let case = format!("{} {} by {by:?}", fate.0, fate.1);
        let (own, founder) = open(dir.path(), by);
        own.put("first", "1").expect("it has the database");
        let hasty = (!matches!(by, Leading | Succession)).then(|| hasty(dir.path()));
        let watch = (by == Watched).then(|| own.watch(.., level_party::WatchFrom::Now));
        let watch = watch.map(|begun| begun.expect("it may watch"));
        let failure = match by {
            FailedAppend => Some((FAIL, "append:5")),
            FailedSync => Some((FAIL, "sync:2")),
            _ => None,
        };
        let environment: Vec<_> = [fate].into_iter().chain(failure).collect();
        let flags: &[&str] = match by {
            Syncs | FailedSync => &["--sync"],
            _ => &[],
        };
        let victim = ExecChild::spawn_in(PROGRAM, dir.path(), flags, &environment);
        Scene {
            case,
            dir,
            by,
            victim,
            own,
            founder,
            hasty,
            watch,
            sure: BTreeMap::from([("first".to_owned(), "1".to_owned())]),
            in_flight: None,
            puts: 0,
        }
    }

    /// Has the victim work until it has reached its step.
    fn drive(&mut self, is_reached: impl Fn(&mut ExecChild, ProcessState) -> bool) {
        if matches!(self.by, Leading | Succession) && !self.hand_over(&is_reached) {
            return;
        }
        for _ in 0..MOST_PUTS {
            let request = match self.by {
                Gets => json!({"op": "get", "key": "first"}),
                // Another thread of it takes the last step, and this one must not be met in a write.
                Succession => json!({"op": "status"}),
                _ => {
                    let (key, value) = self.next_put("victim");
                    let request = json!({"op": "put", "key": key, "value": value});
                    self.in_flight = Some((key, value));
                    request
                }
            };
            if self.by == DeadHolder && self.puts > 4 {
                self.leave_a_dead_holder();
            }
            if !self.ask(&request, &is_reached) {
                return;
            }
            // A leader may have stopped since, and its memory be full.
            if self.by != Leading {
                self.put_here();
            }
        }
        panic!("{}: not reached", self.case);
    }

    /// Has the victim lead. False: it has reached its step by that.
    fn hand_over(&mut self, is_reached: &impl Fn(&mut ExecChild, ProcessState) -> bool) -> bool {
        let status = json!({"op": "status"});
        if !self.ask(&status, is_reached) {
            return false;
        }
        match self.founder.take() {
            Some(founder) => founder.kill(),
            None => drop(self.own.yield_leadership().expect("it leads")),
        }
        loop {
            self.victim_sends(&status);
            let Some(answer) = self.answer(is_reached) else {
                return false;
            };
            if answer["role"] == "leader" {
                self.hasty = Some(hasty(self.dir.path()));
                return true;
            }
        }
    }

    /// A process that dies with the lock, its record in the log and not published.
    fn leave_a_dead_holder(&mut self) {
        let fate = [(KILL, "Insert:1")];
        let flags = [] as [&str; 0];
        let mut holder = ExecChild::spawn_in(PROGRAM, self.dir.path(), flags, &fate);
        let (key, value) = ("never", "1");
        let died = holder.try_ask(&json!({"op": "put", "key": key, "value": value}));
        assert_eq!(died, None, "{}", self.case);
    }

    /// Asks the victim for something. False: it has reached its step before it answered.
    fn ask(
        &mut self,
        request: &Value,
        is_reached: &impl Fn(&mut ExecChild, ProcessState) -> bool,
    ) -> bool {
        self.victim_sends(request);
        match self.answer(is_reached) {
            Some(answer) => {
                self.take(&answer);
                true
            }
            None => false,
        }
    }

    fn victim_sends(&mut self, request: &Value) {
        // One that has died by itself meanwhile is found when its answer is waited for.
        self.victim.try_send(request);
    }

    fn answer(
        &mut self,
        is_reached: &impl Fn(&mut ExecChild, ProcessState) -> bool,
    ) -> Option<Value> {
        let start = std::time::Instant::now();
        loop {
            if let Some(answer) = self.victim.try_answer_within(Duration::from_millis(2)) {
                return Some(answer);
            }
            let state = describe(self.victim.pid()).state;
            if is_reached(&mut self.victim, state) {
                return None;
            }
            assert!(start.elapsed() < PATIENCE, "{}: no answer", self.case);
        }
    }

    /// What the victim was answered counts.
    fn take(&mut self, answer: &Value) {
        let Some((key, value)) = self.in_flight.take() else {
            assert_eq!(answer["ok"], true, "{}: {answer}", self.case);
            return;
        };
        if answer["ok"] == true {
            self.sure.insert(key, value);
            return;
        }
        let kind = answer["error"]["kind"].as_str();
        match (self.by, kind) {
            (FailedAppend, Some("OutOfSpace")) => {}
            (FailedSync, Some("OutcomeUnknown")) => {
                // It is applied.
                self.sure.insert(key, value);
            }
            _ => panic!("{}: {answer}", self.case),
        }
    }

    /// The victim's answer after it was let go on.
    fn take_late_answer(&mut self) {
        let is_put = self.in_flight.is_some();
        if is_put || self.by == Gets {
            let answer = self.victim.answer();
            self.take(&answer);
        }
    }

    fn next_put(&mut self, whose: &str) -> (String, String) {
        self.puts += 1;
        let bytes = VALUES.iter().find(|(name, _)| *name == whose);
        let bytes = bytes.map_or(0, |(_, bytes)| *bytes);
        let value = format!("{}{}", self.puts, "x".repeat(bytes));
        (format!("{whose} {}", self.puts), value)
    }

    /// A put by this process.
    fn put_here(&mut self) {
        let (key, value) = self.next_put("own");
        let put = self.own.put(&key, &value);
        put.unwrap_or_else(|error| panic!("{}: {error}", self.case));
        self.sure.insert(key, value);
    }

    /// Puts more than memory holds, so that somebody has to flush it: also where a ring was lost.
    fn put_many(&mut self) {
        for _ in 0..=4 * write_buffer(self.by) / VALUES[1].1 {
            self.put_here();
        }
    }

    /// A put by the victim.
    fn put_there(&mut self) {
        let (key, value) = self.next_put("victim");
        self.victim_put_is_done(&key, &value);
        self.sure.insert(key, value);
    }

    fn victim_put_is_done(&mut self, key: &str, value: &str) {
        let request = json!({"op": "put", "key": key, "value": value});
        // Answers of the status that it was stopped in come first.
        self.victim.send(&request);
        let start = std::time::Instant::now();
        while self.own.get(key).expect("it reads").as_deref() != Some(value.as_bytes()) {
            assert!(start.elapsed() < PATIENCE, "{}: no put", self.case);
            std::thread::yield_now();
        }
    }

    /// A put by a process with little time. True: it timed out, because the victim has the lock.
    fn times_out(&mut self) -> bool {
        let hasty = self.hasty.as_mut().expect("the victim does not lead");
        let answer = hasty.ask(&json!({"op": "put", "key": "hasty", "value": "1"}));
        if answer["ok"] == true {
            self.sure.insert("hasty".to_owned(), "1".to_owned());
            return false;
        }
        assert_eq!(
            answer["error"]["kind"], "Timeout",
            "{}: {answer}",
            self.case
        );
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        let pid = format!("pid {}", self.victim.pid());
        let is_named = message.contains(&pid) && message.contains("stopped");
        assert!(is_named, "{}: {message}", self.case);
        true
    }

    /// What this process finds: all that was acknowledged, and of the put in flight all or nothing.
    fn check_reads(&self) {
        check(&self.case, &self.own, &self.sure, self.in_flight.as_ref());
    }

    /// The same, now and in a process that opens what is left when all have gone.
    fn check_all(self) {
        self.check_reads();
        let Scene {
            case,
            dir,
            victim,
            own,
            founder,
            hasty,
            watch,
            sure,
            in_flight,
            ..
        } = self;
        drop((victim, founder, hasty, watch));
        own.close()
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let next = Db::open(dir.path()).unwrap_or_else(|error| panic!("{case}: {error}"));
        check(&case, &next, &sure, in_flight.as_ref());
        let report = next
            .verify()
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(report.problems.is_empty(), "{case}: {:?}", report.problems);
    }
}

/// A process whose writes have a second.
fn hasty(dir: &Path) -> ExecChild {
    let mut hasty = ExecChild::spawn_with(PROGRAM, dir, ["--timeout", "1", "--open-timeout", "10"]);
    assert_eq!(hasty.get("first").as_deref(), Some("1"));
    hasty
}

/// Opens the database as what has the victim reach its step asks for.
fn open(dir: &Path, by: By) -> (Db, Option<ExecChild>) {
    let options = Db::options().write_buffer_size(write_buffer(by));
    if by != Succession {
        return (options.open(dir).expect("an empty directory"), None);
    }
    let founder = ExecChild::spawn_leader(PROGRAM, dir);
    // So that the victim succeeds it.
    let own = Db::options().lead(Lead::Never).open(dir);
    (own.expect("somebody leads"), Some(founder))
}

fn check(
    case: &str,
    db: &Db,
    sure: &BTreeMap<String, String>,
    in_flight: Option<&(String, String)>,
) {
    let mut found = BTreeMap::new();
    for entry in db.iter() {
        let (key, value) = entry.unwrap_or_else(|error| panic!("{case}: {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("only text was put");
        found.insert(text(key), text(value));
    }
    if let Some((key, value)) = in_flight
        && let Some(found) = found.remove(key)
    {
        assert_eq!(&found, value, "{case}");
    }
    let (found, sure): (Vec<_>, Vec<_>) = (found.keys().collect(), sure.keys().collect());
    assert_eq!(found, sure, "{case}");
}
