//! A copier dies at each step of a cut-over: the source is never lost, and whoever gives the command again completes it.

use level_party_testkit::{ExecChild, run};
use serde_json::json;
use std::path::Path;
use std::process::Command;

use crate::{KILL, PROGRAM};

/// Changes of service states in a cut-over: the target is claimed and noted, the source refuses writes, what was copied is noted,
/// the target is live.
const CHANGES: u32 = 5;

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
            (false, _) => assert!(
                !aborted && copying.write(),
                "{death}: there is nothing to undo"
            ),
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
