//! `serve`: stay, so that the directory has a leader for as long as the others come and go.

use std::time::Duration;

use clap::Args;
use level_party::{Event, Role};
use serde::Serialize;

use crate::args::{Creating, Target};
use crate::failure::{Failure, Result};
use crate::happened;
use crate::output::Report;
use crate::stop;

/// How long it takes at most until a signal is heeded.
const LOOK: Duration = Duration::from_millis(100);

/// Stay in the party until Ctrl-C or SIGTERM, and lead it whenever nobody else does.
///
/// No other command needs it. It spares short ones the opening of the database: they follow this process. It reports changes of leader on standard error, and hands over when it leaves. The exit code is then 130, as of every command that a signal ends.
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,

    /// Print a line of JSON for each thing that happens
    #[arg(long)]
    json: bool,
}

impl Serve {
    /// Stays until it is stopped.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_for_writing(self.creating)?;
        stop::instead(|| ());
        let mut events = db.events()?;
        let status = db.status()?;
        let dir = self.target.shown();
        let pid = status.pid;
        let leader = &status.leader;
        let (leader_pid, epoch) = (leader.leader_pid, leader.epoch);
        let begun = match status.role {
            Role::Leader => Event::Elected { epoch },
            _ => Event::Attached { leader_pid, epoch },
        };
        if let Some(told) = told(&begun) {
            self.tell(told)?;
        }
        self.tell(Told {
            event: "serving",
            pid: Some(pid),
            words: format!("serving {dir} as pid {pid}; Ctrl-C leaves"),
            ..Told::default()
        })?;
        while !stop::asked() {
            if let Some(told) = events.next_timeout(LOOK).as_ref().and_then(told) {
                self.tell(told)?;
            }
        }
        db.close()?;
        self.tell(Told {
            event: "left",
            words: format!("left {dir}"),
            ..Told::default()
        })?;
        Err(Failure::Interrupted) // Nothing else ends it.
    }

    /// Words for people go to standard error, lines of JSON to standard output.
    fn tell(&self, told: Told) -> Result<()> {
        Report { json: self.json }.tell(&told, &told.words)
    }
}

/// Something that happened.
#[derive(Default, Serialize)]
struct Told {
    event: &'static str,
    /// The process that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip)]
    words: String,
}

/// An event in `serve`'s own terms.
fn told(event: &Event) -> Option<Told> {
    let words = happened::words(event)?;
    let this = std::process::id();
    let (event, pid, epoch) = match event {
        Event::Elected { epoch } => ("leading", Some(this), Some(*epoch)),
        Event::Attached { leader_pid, epoch } => ("following", Some(*leader_pid), Some(*epoch)),
        Event::LeaderLost { leader_pid, epoch } => ("leader-lost", Some(*leader_pid), Some(*epoch)),
        Event::SteppedDown {
            epoch,
            failed: false,
        } => ("stepped-down", Some(this), Some(*epoch)),
        Event::SteppedDown { epoch, .. } => ("failed", Some(this), Some(*epoch)),
        Event::Trouble { .. } => ("trouble", None, None),
        _ => return None,
    };
    Some(Told {
        event,
        pid,
        epoch,
        words,
    })
}
