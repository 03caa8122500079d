//! `demo`: several processes share one directory, their leader is killed again and again, and nobody notices.
//!
//! What it is: a coordinator that never opens the database itself. It starts this very program as four writers and
//! two readers (`exec`) and one stream (`scan`), speaks to them over pipes as any program could, finds the leader by
//! asking a reader for its status, and kills it with SIGKILL.
//!
//! What it promises: what it prints is counted. A write counts when its acknowledgement was read; afterwards all
//! entries are read back ([`check`]) and the database's sequence number, which grows by one with each operation, is
//! compared with what was written. The program ends with exit code 1 if anything is lost, doubled, stale or out of order.
//!
//! | file | holds |
//! |---|---|
//! | [`layout`] | the keys and values that are written, and what they prove |
//! | [`check`] | reading them back in order |
//! | [`ledger`] | what all threads count and share |
//! | [`member`] | one child process and its replacement |
//! | [`roles`], [`stream`] | what a writer, a reader and the stream do |
//! | [`referee`] | the schedule of kills, the failover times |
//! | [`screen`] | what is seen meanwhile |
//! | [`summary`] | what is said at the end |

mod check;
mod layout;
mod ledger;
mod member;
mod referee;
mod roles;
mod screen;
mod stream;
mod summary;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::args::seconds;
use crate::failure::{Failure, Result, say};
use crate::stop;
use crate::text::counted;
use layout::Layout;
use ledger::Ledger;
use member::{Member, Role};
use screen::Screen;

/// Writers, each a process.
const WRITERS: usize = 4;
/// Readers, each a process.
const READERS: usize = 2;
/// Entries that are there from the start, for the stream to walk over.
const BASE_ENTRIES: u64 = 20_000;

/// Show processes share a directory while their leader is killed again and again.
///
/// Four writers, two readers and one stream share the directory. The leader is killed with SIGKILL several times and
/// replaced; afterwards every acknowledged write is looked for. It takes about ten seconds, and exits with 1 if a
/// write was lost or doubled.
#[derive(Args, Debug)]
pub struct Demo {
    /// The directory; without one a temporary directory is used and removed
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Run for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = seconds)]
    seconds: Duration,

    /// Kill the leader so many times
    #[arg(long, value_name = "N", default_value_t = 6)]
    kills: u32,

    /// Print one line of JSON at the end; what happens is told on standard error
    #[arg(long)]
    json: bool,
}

/// What all parts of the demo share.
struct Stage<'a> {
    program: PathBuf,
    dir: &'a Path,
    /// Whether nobody else can know the directory, so that every sequence number in it is the demo's.
    private: bool,
    layout: Layout,
    ledger: Ledger,
    members: Vec<Member>,
}

impl Demo {
    /// Runs the show. A signal breaks it off: the children are ended, and the temporary directory goes.
    pub fn run(self) -> Result<()> {
        stop::instead(|| ());
        match self.show() {
            Err(_) if stop::asked() => Err(Failure::Interrupted),
            shown => shown,
        }
    }

    fn show(self) -> Result<()> {
        let temporary = match &self.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("level-party-demo-")
                    .tempdir()
                    .map_err(no_directory)?,
            ),
        };
        let dir = match (&self.dir, &temporary) {
            (Some(dir), _) => dir.as_path(),
            (None, Some(temporary)) => temporary.path(),
            (None, None) => return Err(Failure::Usage("give a directory".into())),
        };
        let mut stage = Stage {
            program: std::env::current_exe().map_err(|error| {
                Failure::Database(format!("this program cannot find itself: {error}"))
            })?,
            dir,
            private: temporary.is_some(),
            layout: Layout::new(WRITERS, BASE_ENTRIES),
            ledger: Ledger::new(WRITERS, Instant::now()),
            members: members(),
        };
        let mut screen = Screen::new(self.json);
        screen.say(format_args!(
            "{WRITERS} writers, {READERS} readers and a stream share one LevelDB, each a process:"
        ))?;
        screen.say(format_args!("{}", dir.display()))?;
        let baseline = prepare(&stage)?;
        screen.event(format_args!(
            "imported {} for the stream to walk over",
            counted(BASE_ENTRIES, "entry", "entries")
        ))?;

        stage.ledger = Ledger::new(WRITERS, Instant::now() + self.seconds);
        let outcome = referee::run(&stage, &mut screen, self.kills)?;
        screen.event(format_args!("stopped; reading everything back"))?;
        let verdict = referee::verify(&stage, baseline);
        screen.close();
        if stop::asked() {
            return Err(Failure::Interrupted); // The signal has ended the reading too.
        }
        summary::print(&stage, &outcome, &verdict, self.json)
    }
}

fn members() -> Vec<Member> {
    let writers = (0..WRITERS).map(|index| Member::new(Role::Writer(index)));
    let readers = (0..READERS).map(|index| Member::new(Role::Reader(index)));
    writers
        .chain(readers)
        .chain([Member::new(Role::Stream)])
        .collect()
}

/// Imports what is there from the start, and gives the sequence number after it.
fn prepare(stage: &Stage<'_>) -> Result<u64> {
    let mut import = Command::new(&stage.program)
        .arg("import")
        .arg(stage.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Failure::Database(format!("a child process cannot be started: {error}"))
        })?;
    let mut stdin = import
        .stdin
        .take()
        .ok_or_else(|| Failure::Database("a child has no standard input".into()))?;
    let fed = stage.layout.import_lines(&mut stdin);
    drop(stdin);
    let done = import.wait_with_output().map_err(|error| {
        Failure::Database(format!("a child process cannot be waited for: {error}"))
    })?;
    if !done.status.success() || fed.is_err() {
        let words = String::from_utf8_lossy(&done.stderr);
        return Err(Failure::Database(format!(
            "the import failed, {}: {}",
            done.status,
            words.trim()
        )));
    }
    // All that is opened here is opened by children: the first one's warnings stand for all.
    let words = String::from_utf8_lossy(&done.stderr);
    let is_told = |line: &&str| line.starts_with("warning: ") || line.starts_with("hint: ");
    words.lines().filter(is_told).for_each(say);
    last_sequence(stage)
}

/// The database's sequence number, asked through a child that leaves again.
fn last_sequence(stage: &Stage<'_>) -> Result<u64> {
    let member = Member::new(Role::Check);
    let mut talk = member
        .start_exec(stage)
        .map_err(|why| Failure::Database(why.to_string()))?;
    let answer = talk.ask(&json!({"op": "status"}));
    let sequence = answer
        .as_ref()
        .and_then(|answer| answer["last_sequence"].as_u64());
    talk.finish();
    let words = member.end();
    sequence.ok_or_else(|| {
        let answer = answer.map_or("nothing".to_string(), |answer| answer.to_string());
        Failure::Database(format!(
            "a child was asked for its status and answered {answer}; {words}"
        ))
    })
}

fn no_directory(error: std::io::Error) -> Failure {
    Failure::Usage(format!(
        "no temporary directory can be made: {error}; give a directory"
    ))
}
