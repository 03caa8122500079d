//! `top` and `demo` in a terminal, driven through tmux and read from its screen. Without tmux they say that they did nothing.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use level_party_testkit::{ExecChild, PATIENCE, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// A terminal of 110 columns and 30 rows, with a server of its own.
struct Terminal {
    /// Where its socket is: named from there, for a whole path may be longer than a socket's can be.
    place: PathBuf,
}

impl Terminal {
    /// Runs `command` in a terminal; `None` where there is no tmux.
    fn start(place: &Path, command: &str) -> Option<Terminal> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: tmux is not installed");
            return None;
        }
        let terminal = Terminal {
            place: place.to_owned(),
        };
        // The shell stays, so that what is on the screen at the end can be read.
        let line = format!("{command}; echo ended with $?; cat");
        let done = terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "110",
            "-y",
            "30",
            &line,
        ]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Output {
        Command::new("tmux")
            .args(["-S", "tmux"])
            .args(words)
            .current_dir(&self.place)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux runs")
    }

    fn keys(&self, keys: &str) {
        assert!(self.tmux(&["send-keys", keys]).status.success());
    }

    /// The screen, once it holds what is looked for.
    fn screen(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.tmux(&["capture-pane", "-p"]).stdout;
            let shown = String::from_utf8_lossy(&shown).into_owned();
            if holds(&shown) {
                return shown;
            }
            assert!(
                Instant::now() < deadline,
                "no {what} on the screen:\n{shown}"
            );
            std::thread::sleep(Duration::from_millis(20)); // Nothing tells that the screen has changed.
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The row of a process on the screen of `top`.
fn row(screen: &str, pid: u32) -> Option<&str> {
    let pid = format!(" {pid} ");
    screen.lines().find(|line| line.contains(&pid))
}

#[test]
fn top_crowns_the_leader_and_the_next_one_and_quits() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("db");
    let mut first = ExecChild::spawn(PROGRAM, &dir);
    first.put("a", "1");
    let mut second = ExecChild::spawn(PROGRAM, &dir);
    assert_eq!(second.leader_pid(), first.pid());
    let command = format!("{PROGRAM} top --every 0.05 {}", dir.display());
    let Some(terminal) = Terminal::start(place.path(), &command) else {
        return;
    };
    let crowned = |screen: &str, pid: u32| {
        row(screen, pid).is_some_and(|row| row.contains("♛") && row.contains("leader"))
    };
    let words = [
        "processes 3",
        "(this screen)",
        "writes/s",
        "levels",
        "L0",
        "sequence 1",
        "p99",
    ];
    // A screen is looked at also while it is drawn.
    terminal.screen(&format!("crown, follower and {words:?}"), |screen| {
        crowned(screen, first.pid())
            && row(screen, second.pid()).is_some_and(|row| row.contains("follower"))
            && words.iter().all(|word| screen.contains(word))
    });
    second.put("b", "2");
    terminal.screen("the write", |screen| screen.contains("sequence 2"));
    first.kill();
    terminal.screen("another leader", |screen| {
        screen.contains("processes 2") && screen.contains("changes of leader seen 1")
    });
    terminal.keys("q");
    terminal.screen("the end", |screen| screen.contains("ended with 0"));
}

/// `top` with these flags on a database that nobody has open; its directory, which outlives the terminal, comes first. `None`:
/// there is no terminal.
fn top_of_a_database(flags: &str) -> Option<(tempfile::TempDir, Terminal)> {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("db");
    let put = ["put".as_ref(), dir.as_os_str(), "a".as_ref(), "1".as_ref()];
    run(PROGRAM, put).success();
    let command = format!("{PROGRAM} top {flags} {}", dir.display());
    let terminal = Terminal::start(place.path(), &command)?;
    Some((place, terminal))
}

#[test]
fn top_ends_with_the_terminal_as_it_was_when_it_is_told_to() {
    let Some((_place, terminal)) = top_of_a_database("--lead auto") else {
        return;
    };
    terminal.screen("a crown", |screen| screen.contains("♛"));
    terminal.keys("C-c");
    terminal.screen("the end", |screen| {
        screen.contains("ended with 130") && !screen.contains("♛")
    });
}

#[test]
fn top_says_so_where_nobody_has_the_database_open() {
    let Some((_place, terminal)) = top_of_a_database("") else {
        return;
    };
    terminal.screen("the end", |screen| {
        screen.contains("no process has it open") && screen.contains("ended with 3")
    });
}

/// It went on at full speed when its terminal was closed.
#[test]
fn top_ends_with_its_terminal() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("db");
    let mut leader = ExecChild::spawn(PROGRAM, &dir);
    leader.put("a", "1");
    let Some(terminal) = Terminal::start(place.path(), &format!("{PROGRAM} top {}", dir.display()))
    else {
        return;
    };
    terminal.screen("a crown", |screen| screen.contains("♛"));
    let mut watched = || leader.status()["followers"] != serde_json::json!([]);
    assert!(watched());
    drop(terminal);
    let begun = Instant::now();
    while watched() {
        assert!(begun.elapsed() < PATIENCE, "it goes on without a terminal");
    }
}

#[test]
fn top_without_a_terminal_says_so() {
    let done = run(PROGRAM, ["top", "/nowhere"]);
    assert_eq!(done.code(), 2);
    assert!(done.stderr.contains("needs a terminal"), "{}", done.stderr);
}

/// Each seemed to hang.
#[test]
fn a_command_that_reads_from_a_terminal_says_what_it_waits_for() {
    for command in ["import", "batch", "exec"] {
        let place = tempfile::tempdir().expect("a directory");
        let dir = place.path().join("db");
        let line = format!("{PROGRAM} {command} {}", dir.display());
        let Some(terminal) = Terminal::start(place.path(), &line) else {
            return;
        };
        terminal.screen("the sentence", |screen| {
            screen.contains("from the terminal, a line each; Ctrl-D ends them")
        });
        terminal.keys("C-d");
        terminal.screen("the end", |screen| screen.contains("ended with 0"));
    }
}

#[test]
fn the_demo_is_drawn_and_counts() {
    let place = tempfile::tempdir().expect("a directory");
    let command = format!(
        "TMPDIR={} {PROGRAM} demo --seconds 5 --kills 2",
        place.path().display()
    );
    let Some(terminal) = Terminal::start(place.path(), &command) else {
        return;
    };
    terminal.screen("a leader", |screen| {
        screen.contains("writer 1") && screen.contains(" leads ")
    });
    terminal.screen("the count", |screen| {
        screen.contains("0 lost, 0 doubled") && screen.contains("ended with 0")
    });
    assert_eq!(demo_directories(place.path()), 0);
}

#[test]
fn a_demo_that_is_stopped_leaves_nothing_behind() {
    {
        let keys = "C-c";
        let place = tempfile::tempdir().expect("a directory");
        let command = format!(
            "TMPDIR={} {PROGRAM} demo --seconds 600",
            place.path().display()
        );
        let Some(terminal) = Terminal::start(place.path(), &command) else {
            return;
        };
        terminal.screen("a leader", |screen| {
            screen.contains("writer 1") && screen.contains(" leads ")
        });
        assert_eq!(demo_directories(place.path()), 1);
        terminal.keys(keys);
        terminal.screen("the end", |screen| screen.contains("ended with 130"));
        assert_eq!(demo_directories(place.path()), 0);
    }
}

fn demo_directories(place: &Path) -> usize {
    let entries = std::fs::read_dir(place).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("level-party-demo-"))
        .count()
}
