//! A copier dies at each step of a cut-over: the source is never lost, and whoever gives the command again completes it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

#[cfg(target_os = "linux")]
use std::ffi::OsStr;

#[cfg(target_os = "linux")]
use level_party_os::process::{ProcessState, describe};
use level_party_testkit::{ExecChild, run};
use serde_json::json;

#[cfg(target_os = "linux")]
use crate::held::{hold_at, pipe, wait};
#[cfg(target_os = "linux")]
use crate::{HOLD, STOP};
use crate::{KILL, PROGRAM};

/// Changes of service states in a cut-over: the target is claimed, its copy's owner and what was copied are noted, the source
/// refuses writes, the target is sealed and then live.
const CHANGES: u32 = 6;

struct Copying {
    place: tempfile::TempDir,
    writer: ExecChild,
    written: Vec<String>,
}

impl Copying {
    /// A source that a process has open, which has written to it.
    fn new() -> Copying {
        let place = tempfile::tempdir().expect("a directory");
        let writer = ExecChild::spawn(PROGRAM, place.path().join("source"));
        let mut copying = Copying {
            place,
            writer,
            written: Vec::new(),
        };
        assert!(copying.write(), "it is live");
        copying
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join(name)
    }

    /// Copies, with something that happens to this copier.
    fn start(&self, then: &str, (name, fate): (&str, &str)) -> Child {
        let mut copier = Command::new(PROGRAM);
        copier.arg("copy");
        copier.args([self.path("source"), self.path("target")]);
        copier.args(["--then", then]).env(name, fate);
        copier.stdout(Stdio::null()).stderr(Stdio::null());
        copier.spawn().expect("started")
    }

    /// Whether the source took a write.
    fn write(&mut self) -> bool {
        let key = format!("{:04}", self.written.len());
        let put = json!({"op": "put", "key": key, "value": "1"});
        let answer = self.writer.ask(&put);
        if answer["ok"] == true {
            self.written.push(key);
            return true;
        }
        assert_eq!(answer["error"]["kind"], "Moved", "{answer}");
        false
    }

    fn copy(&self, then: &str) -> level_party_testkit::Finished {
        let (source, target) = (self.path("source"), self.path("target"));
        let words = [
            "copy".as_ref(),
            source.as_os_str(),
            target.as_os_str(),
            "--then".as_ref(),
            then.as_ref(),
        ];
        run(PROGRAM, words)
    }

    /// Cuts over, and dies on the way. False: it was done before.
    fn die_at(&self, point: &str) -> bool {
        let died = Command::new(PROGRAM)
            .arg("copy")
            .args([self.path("source"), self.path("target")])
            .args(["--then", "cut-over"])
            .env(KILL, point)
            .output()
            .expect("started");
        !died.status.success()
    }

    /// The cut-over completes, and nothing that was acknowledged is missing.
    fn complete(mut self) {
        self.copy("cut-over").success();
        assert!(!self.write(), "the source was moved");
        let mut target = ExecChild::spawn(PROGRAM, self.path("target"));
        let found: Vec<String> = target.scan("").into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, self.written);
        target.put("goes", "on");
    }
}

fn deaths() -> impl Iterator<Item = String> {
    let points = ["service-file", "service-word"];
    points
        .into_iter()
        .flat_map(|point| (1..=CHANGES).map(move |visit| format!("{point}:{visit}")))
        .chain(["copy-writes", "copy-moves", "copy-compared"].map(str::to_owned))
}

#[test]
fn cut_over_that_died_anywhere_is_completed_by_the_next() {
    for death in deaths() {
        let mut copying = Copying::new();
        assert!(copying.die_at(&death), "nobody dies at {death}");
        copying.write();
        copying.complete();
    }
    let copying = Copying::new();
    assert!(
        !copying.die_at(&format!("service-word:{}", CHANGES + 1)),
        "that was the last change"
    );
}

#[test]
fn cut_over_that_died_is_aborted_until_the_target_is_live() {
    for death in deaths() {
        let mut copying = Copying::new();
        assert!(copying.die_at(&death), "nobody dies at {death}");
        let moved = !copying.write();
        let aborted = copying.copy("abort").code() == 0;
        match (moved, is_live(&copying.path("target"))) {
            (true, true) => assert!(!aborted, "{death}: others may have the target by now"),
            (true, false) => {
                assert!(aborted, "{death}");
                assert!(copying.write(), "{death}: the source takes writes again");
            }
            // Or only its file said so.
            (false, _) => assert!(copying.write(), "{death}: it takes writes"),
        }
        copying.complete();
    }
}

/// A source that nobody has open when its copier dies says the same to the next who opens it.
#[test]
fn source_of_a_cut_over_that_died_is_the_same_in_its_next_epoch() {
    for death in deaths() {
        let mut copying = Copying::new();
        assert!(copying.die_at(&death), "nobody dies at {death}");
        let other = ExecChild::spawn(PROGRAM, copying.path("elsewhere"));
        std::mem::replace(&mut copying.writer, other).close();
        let source = copying.path("source");
        copying.writer = ExecChild::spawn(PROGRAM, source);
        copying.write();
        copying.complete();
    }
}

fn is_live(dir: &Path) -> bool {
    run(PROGRAM, ["count".as_ref(), dir.as_os_str()]).code() == 0
}

/// Both a batch of a copier that stood still and what came after it would be in the target, in that order.
#[cfg(target_os = "linux")]
#[test]
fn batch_of_a_former_copier_is_not_in_what_was_compared() {
    let mut copying = Copying::new();
    copying.copy("stop").success();
    copying.writer.put("key", "old");
    let [early, late] = ["early", "late"].map(|name| {
        let dir = copying.path(name);
        std::fs::create_dir(&dir).expect("a directory");
        pipe(&dir)
    });
    let hold = |point: &str, pipe: &Path| format!("{point}:1:{}", pipe.display());
    let mut former = copying.start("stop", (HOLD, &hold("copy-writes", &early)));
    let batch = hold_at(&early);
    copying.writer.put("key", "new");
    let mut copier = copying.start("cut-over", (HOLD, &hold("copy-compared", &late)));
    let compared = hold_at(&late);
    drop(batch);
    let ended = former.wait().expect("it is a child");
    assert!(!ended.success(), "it is not the owner");
    drop(compared);
    assert!(copier.wait().expect("it is a child").success());
    let mut target = ExecChild::spawn(PROGRAM, copying.path("target"));
    assert_eq!(target.get("key").as_deref(), Some("new"));
}

/// It made the source live after the target was.
#[cfg(target_os = "linux")]
#[test]
fn copier_that_stood_still_does_not_touch_a_moved_source() {
    let mut copying = Copying::new();
    let pipe = pipe(copying.place.path());
    let hold = format!("copy-moves:1:{}", pipe.display());
    let mut former = copying.start("cut-over", (HOLD, &hold));
    let held = hold_at(&pipe);
    copying.copy("cut-over").success();
    let mut target = ExecChild::spawn(PROGRAM, copying.path("target"));
    target.put("goes", "on");
    drop(held);
    assert!(!former.wait().expect("it is a child").success());
    assert!(!copying.write(), "the target is live");
    target.put("goes", "on");
}

/// The move was in force, and the copier was told of the writer that it had waited for.
#[cfg(target_os = "linux")]
#[test]
fn move_that_waits_too_long_for_a_writer_is_undone() {
    let mut copying = Copying::new();
    let flags = [] as [&str; 0];
    let source = copying.path("source");
    let mut holder = ExecChild::spawn_in(PROGRAM, &source, flags, &[(STOP, "Append:1")]);
    holder.send(&json!({"op": "put", "key": "held", "value": "1"}));
    wait("it is stopped", || {
        describe(holder.pid()).state == ProcessState::Stopped
    });
    let target = copying.path("target");
    let mut words: Vec<_> = vec!["copy".as_ref(), source.as_os_str(), target.as_os_str()];
    words.extend(["--timeout", "1", "--then", "cut-over"].map(OsStr::new));
    let copied = run(PROGRAM, words);
    assert_ne!(copied.code(), 0, "it waits for the writer");
    holder.resume();
    assert_eq!(holder.answer()["ok"], true);
    assert!(copying.write(), "{}", copied.stderr);
    copying.written.push("held".to_owned());
    copying.complete();
}

/// What the source had durably the target has so too.
#[test]
fn target_is_synced_before_it_is_opened() {
    let mut last = None;
    for sync in 1.. {
        let copying = Copying::new();
        if !copying.die_at(&format!("log-synced:{sync}")) {
            break;
        }
        last = Some(copying);
    }
    let mut copying = last.expect("nothing was synced");
    assert!(!is_live(&copying.path("target")));
    copying.write();
    copying.complete();
}
