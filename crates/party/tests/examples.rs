//! The two programs of the README, started in any order and killed at will.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use level_party_testkit::{PATIENCE, example};

/// A started example; killed when dropped.
struct Program {
    child: Child,
    printed: Receiver<String>,
}

impl Program {
    fn start(name: &str, dir: &Path) -> Self {
        let mut child = Command::new(example(name))
            .arg(dir)
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

    /// The next number that it prints; 0 for none yet.
    fn number(&self) -> u64 {
        let line = self
            .printed
            .recv_timeout(PATIENCE)
            .expect("`get` prints on");
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
fn what_one_put_has_counted_never_goes_back_though_its_leader_is_killed() {
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
