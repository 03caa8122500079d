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

    /// Waits until it prints a number of at least `least`, and returns it; what it prints never goes back.
    fn reaches(&self, least: u64, seen: &mut u64) {
        while *seen < least {
            let line = self
                .printed
                .recv_timeout(PATIENCE)
                .expect("`get` prints on");
            let value = line
                .strip_prefix("a= ")
                .unwrap_or_else(|| panic!("printed: {line}"));
            let number = value.parse().unwrap_or(0);
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
