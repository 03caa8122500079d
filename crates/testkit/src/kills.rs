//! The leader is killed under load, again and again, and what was seen is judged afterwards.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::client::content;
use crate::history::History;
use crate::load::counter::{Written, check, counter_prefix};
use crate::load::shared::{self, SharedCounter};
use crate::load::{GROUPS, HOT, Load, bank, group};

/// Readers beside the writers.
pub const READERS: usize = 2;
/// Writes that are acknowledged between two kills: up to so many, by chance. With none the next leader dies as soon as
/// it is known.
const MOST_WRITES_BETWEEN: u64 = 120;

/// What is known after a load under which leaders were killed.
#[derive(Debug, Clone)]
pub struct Record {
    /// The calls on hot keys and groups, of all clients.
    pub history: History,
    /// What each writer knows of its counter.
    pub written: Vec<Written>,
    /// What all know of the counter that they share.
    pub shared: SharedCounter,
    /// The spans of all acknowledged writes.
    pub acknowledged: Vec<(u64, u64)>,
    /// The moments just before each kill of a client's process.
    pub kills: Vec<u64>,
    /// How many clients' processes were found killed.
    pub lives_lost: usize,
}

impl Record {
    /// Adds what was found in the whole database afterwards, by whomever, and judges all of it but the history: that
    /// the counters and accounts hold what they must, and that nothing else is there.
    ///
    /// # Errors
    /// Words that say what is wrong.
    pub fn end(&mut self, found: Vec<(String, String)>) -> Result<(), String> {
        let mut left = found;
        let mut take = |belongs: &dyn Fn(&str) -> bool| -> Vec<(String, String)> {
            let (taken, rest) = std::mem::take(&mut left)
                .into_iter()
                .partition(|(key, _)| belongs(key));
            left = rest;
            taken
        };
        for group in GROUPS {
            let prefix = group::prefix(group);
            let content = group::content(group, &take(&|key| key.starts_with(&prefix)))?;
            self.history.add_last_read(group, content);
        }
        for hot in HOT {
            let value = take(&|key| key == hot).pop();
            let content = value.map(|(_, value)| content(&value)).transpose()?;
            self.history.add_last_read(hot, content);
        }
        for (writer, written) in self.written.iter().enumerate() {
            let prefix = counter_prefix(writer);
            check(writer, written, &take(&|key| key.starts_with(&prefix)))?;
        }
        self.shared
            .check(&take(&|key| key.starts_with(shared::PREFIX)))?;
        bank::accounts(&take(&|key| key.starts_with(bank::PREFIX)))?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("never written: {left:?}")),
        }
    }

    /// For each kill the time until a write was acknowledged that had begun after it, the shortest first.
    ///
    /// A write in flight at the kill may have been answered by the leader that was killed; so it counts for nothing,
    /// and the figure is by one round trip too long rather than too short.
    pub fn failovers(&self) -> Vec<Duration> {
        let mut spans = self.acknowledged.clone();
        spans.sort_unstable();
        let mut first_end = vec![u64::MAX; spans.len() + 1];
        for at in (0..spans.len()).rev() {
            first_end[at] = first_end[at + 1].min(spans[at].1);
        }
        let mut times: Vec<u64> = self
            .kills
            .iter()
            .map(|kill| {
                (
                    kill,
                    first_end[spans.partition_point(|(begun, _)| begun < kill)],
                )
            })
            .filter(|(_, end)| *end < u64::MAX)
            .map(|(kill, end)| end - kill)
            .collect();
        times.sort_unstable();
        times.into_iter().map(Duration::from_nanos).collect()
    }
}

/// Kills whoever leads, with work in between, until `kills` clients' processes were; returns the moments. The observer dies
/// beside them where it has come to lead: how often is for the scheduler to say.
fn kill_leaders(load: &Load, kills: usize) -> Vec<u64> {
    let mut observer = load.target().spawn();
    let mut random = fastrand::Rng::with_seed(kills as u64);
    let (mut last, mut moments) = (None, Vec::new());
    while moments.len() < kills && load.wait_for_progress(random.u64(..=MOST_WRITES_BETWEEN)) {
        let Some(status) = observer.try_ask(&json!({"op": "status"})) else {
            observer = load.target().spawn();
            continue;
        };
        assert_eq!(status["ok"], true, "{status}");
        let epoch = status["epoch"].as_u64().expect("an epoch");
        if let Some(last) = last {
            assert!(
                epoch >= last,
                "an epoch's number came again: {epoch} after {last}"
            );
            if epoch == last {
                continue;
            }
        }
        last = Some(epoch);
        let leader = status["leader_pid"].as_u64().expect("a leader") as u32;
        if leader == observer.pid() {
            observer.kill();
            observer = load.target().spawn();
        } else {
            moments.push(load.target().now());
            // Its own thread reaps it, so the number cannot name another process yet.
            kill(leader);
        }
    }
    moments
}

/// Kills a process that is a child of another thread.
#[cfg(unix)]
fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = Pid::from_raw(pid as i32).expect("a pid");
    if let Err(error) = kill_process(pid, Signal::KILL) {
        panic!("the leader {pid:?} cannot be killed: {error}");
    }
}

/// The same by `TerminateProcess`.
#[cfg(windows)]
fn kill(pid: u32) {
    use std::process::{Command, Stdio};
    let mut command = Command::new("taskkill");
    command
        .args(["/F", "/PID", &pid.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = crate::program::start(&mut command).expect("a part of Windows");
    let killed = child.wait_with_output().expect("its end");
    assert!(killed.status.success(), "the leader {pid}: {killed:?}");
}

/// Runs `writers` and [`READERS`] readers by `program` on `dir` while `kills` of them are killed as they lead.
///
/// # Panics
/// When anybody who survives notices anything: see [`Load::write`] and [`Load::read`].
pub fn kill_under_load(program: &Path, dir: &Path, writers: usize, kills: usize) -> Record {
    let load = Load::new(program, dir, writers);
    let record = run_load(&load, |load| kill_leaders(load, kills));
    assert_eq!(record.kills.len(), kills);
    record
}

/// Runs the writers of `load` and [`READERS`] readers until `kill`, which kills whom it likes, returns the moments at
/// which it did.
///
/// # Panics
/// As [`kill_under_load`].
pub fn run_load(load: &Load, kill: impl FnOnce(&Load) -> Vec<u64> + Send) -> Record {
    load.open_accounts();
    let writers = load.writers();
    std::thread::scope(|threads| {
        let writing: Vec<_> = (0..writers)
            .map(|writer| {
                threads.spawn(move || {
                    let _stop = load.stop_at_end();
                    load.write(writer)
                })
            })
            .collect();
        let reading: Vec<_> = (writers..writers + READERS)
            .map(|number| {
                threads.spawn(move || {
                    let _stop = load.stop_at_end();
                    load.read(number)
                })
            })
            .collect();
        let killer = threads.spawn(|| {
            let _stop = load.stop_at_end();
            kill(load)
        });
        let (mut written, mut clients) = (Vec::new(), Vec::new());
        let mut shared = SharedCounter::default();
        for writer in writing {
            let (client, own, of_all) = writer.join().expect("a writer");
            clients.push(client);
            written.push(own);
            shared.merge(of_all);
        }
        clients.extend(
            reading
                .into_iter()
                .map(|reader| reader.join().expect("a reader")),
        );
        let kills = killer.join().expect("the killer");
        let mut record = Record {
            history: History::default(),
            written,
            shared,
            acknowledged: Vec::new(),
            kills,
            lives_lost: 0,
        };
        for client in clients {
            record.lives_lost += client.lives_lost;
            record.acknowledged.extend(&client.acknowledged);
            record.history.merge(client.history);
        }
        record
    })
}
