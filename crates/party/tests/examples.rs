//! Each example does what its head says; `put` and `get` in any order, and killed at will.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use level_party::Db;
use level_party_testkit::{PATIENCE, example, run};

/// A started example; killed when dropped.
struct Program {
    child: Child,
    printed: Receiver<String>,
}

impl Program {
    fn start(name: &str, dir: &Path) -> Self {
        Program::start_with(name, dir, &[])
    }

    fn start_with(name: &str, dir: &Path, more: &[&OsStr]) -> Self {
        let mut child = Command::new(example(name))
            .arg(dir)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Program { child, printed }
    }

    /// The next line that it prints.
    fn line(&self) -> String {
        let line = self.printed.recv_timeout(PATIENCE);
        line.expect("the example prints on")
    }

    /// The line that it prints when it has read `input`.
    fn answer(&mut self, input: &str) -> String {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{input}").expect("the example reads");
        self.line()
    }

    /// All that it prints; it must end by itself, and well.
    fn lines_to_its_end(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(line) = self.printed.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }

    /// The next number that it prints; 0 for none yet.
    fn number(&self) -> u64 {
        let line = self.line();
        let value = line
            .strip_prefix("a= ")
            .unwrap_or_else(|| panic!("printed: {line}"));
        value.parse().unwrap_or(0)
    }

    /// Waits until it prints a number of at least `least`, and notes it.
    fn reaches(&self, least: u64, seen: &mut u64) {
        while *seen < least {
            *seen = self.number();
        }
    }

    /// The same; what it prints meanwhile never goes back.
    fn grows_to(&self, least: u64, seen: &mut u64) {
        while *seen < least {
            let number = self.number();
            assert!(number >= *seen, "a was {seen} and is {number}");
            *seen = number;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of several, one may put what another has counted beyond since: so this is about one.
#[test]
fn counter_never_goes_back_when_its_leader_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = |name| Program::start(name, dir.path());
    let leader = start("get");
    leader.number();
    // It has the directory, and nobody else came yet: it leads.
    let (_put, get, mut seen) = (start("put"), start("get"), 0);
    get.grows_to(2, &mut seen);
    drop(leader);
    get.grows_to(5, &mut seen);
}

#[test]
fn put_and_get_run_in_any_number_and_go_on_when_some_are_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = |name| Program::start(name, dir.path());
    let mut puts = vec![start("put")];
    let mut gets = vec![(start("get"), 0)];
    puts.push(start("put"));
    gets.push((start("get"), 0));
    puts.extend([start("put"), start("put")]);
    for (get, seen) in &mut gets {
        get.reaches(2, seen);
    }
    // The first that came leads most likely; whoever does, the others go on.
    for round in 0..3 {
        drop(puts.remove(0));
        puts.push(start("put"));
        for (get, seen) in &mut gets {
            let goal = *seen + 1 + round;
            get.reaches(goal, seen);
        }
    }
    for program in puts.iter_mut().chain(gets.iter_mut().map(|(get, _)| get)) {
        assert!(
            matches!(program.child.try_wait(), Ok(None)),
            "an example ended by itself"
        );
    }
}

#[test]
fn transfers_of_three_processes_keep_the_sum() {
    let dir = tempfile::tempdir().expect("a directory");
    let programs = [(); 3].map(|()| Program::start("transaction", dir.path()));
    for program in programs {
        let lines = program.lines_to_its_end();
        assert!(lines[0].ends_with("together 2000"), "{lines:?}");
    }
}

#[test]
fn sublevels_example_finds_users_by_the_index() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines = Program::start("sublevels", dir.path()).lines_to_its_end();
    let expected = [
        "Ada lives in London",
        "Alan lives in London",
        "sublevels: city, users",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn tasks_example_counts_on_from_one_run_to_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    for run in 1..=2 {
        let mut lines = Program::start("tasks", dir.path()).lines_to_its_end();
        lines[1..=2].sort(); // the tasks commit in any order
        let expected = [
            &format!("counted {run} and {run}"),
            "task/first changed",
            "task/second changed",
            "2 entries",
        ];
        assert_eq!(lines, expected);
    }
}

#[test]
fn backup_example_copies_a_database_that_is_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let db = Db::open(&data).expect("opened");
    db.put("a", "1").expect("put");
    db.put("b", "2").expect("put");
    let done = run(example("backup"), [&data, &copy]).success();
    let expected = [
        "2 entries at a moment",
        "copied up to write 2",
        "2 entries in the copy",
        "sound: true",
    ];
    assert_eq!(done.text().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn watch_example_prints_changes_of_another_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let watch = Program::start("watch", dir.path());
    assert_eq!(watch.line(), "watching");
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("put");
    db.delete("a").expect("deleted");
    assert_eq!(watch.line(), "a = 1");
    assert_eq!(watch.line(), "a was deleted");
}

#[test]
fn watch_example_goes_on_after_its_kept_position() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = tempfile::tempdir().expect("a directory");
    let file = kept.path().join("position");
    let more = [OsStr::new(""), file.as_os_str()];
    let db = Db::open(dir.path()).expect("opened");
    let watch = Program::start_with("watch", dir.path(), &more);
    assert_eq!(watch.line(), "watching");
    db.put("a", "1").expect("put");
    db.delete("a").expect("deleted");
    assert_eq!(watch.line(), "a = 1");
    assert_eq!(watch.line(), "a was deleted");
    drop(watch);
    db.put("b", "2").expect("put");
    let watch = Program::start_with("watch", dir.path(), &more);
    assert_eq!(watch.line(), "watching");
    // It was killed before or after it kept the position of what it printed last.
    match watch.line().as_str() {
        "a was deleted" => assert_eq!(watch.line(), "b = 2"),
        line => assert_eq!(line, "b = 2"),
    }
}

#[test]
fn shared_cache_example_drops_what_another_process_sets() {
    let dir = tempfile::tempdir().expect("a directory");
    let [mut one, mut other] = [(); 2].map(|()| Program::start("shared_cache", dir.path()));
    assert_eq!(one.answer("abc"), "abc is cba (Computed)");
    assert_eq!(other.answer("abc"), "abc is cba (InDatabase)");
    assert_eq!(other.answer("abc"), "abc is cba (InMemory)");
    assert_eq!(one.answer("abc=1"), "abc is set");
    assert_eq!(other.answer("abc"), "abc is 1 (InDatabase)");
    assert_eq!(other.answer("abc"), "abc is 1 (InMemory)");
}
