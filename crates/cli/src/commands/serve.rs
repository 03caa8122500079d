//! `serve`: stay, so that the directory has a leader for as long as the others come and go.

use std::time::Duration;

use clap::Args;
use level_party::{Event, Role};
use serde::Serialize;

use crate::args::{Creating, Target};
use crate::failure::Result;
use crate::output::Report;
use crate::stop;

/// How long it takes at most until a signal is heeded.
const LOOK: Duration = Duration::from_millis(100);

/// Stay in the party until Ctrl-C or SIGTERM, and lead it whenever nobody else does.
///
/// No other command needs it. It spares short ones the opening of the database: they follow this process. It says what becomes of it on standard error, and hands over when it leaves.
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
        let dir = self.target.dir.display();
        let pid = status.pid;
        let leader = &status.leader;
        self.tell(match status.role {
            Role::Leader => Told::leading(leader.epoch),
            _ => Told::following(leader.leader_pid, leader.epoch),
        })?;
        self.tell(Told {
            event: "serving",
            pid: Some(pid),
            words: format!("serving {dir} as pid {pid}; Ctrl-C leaves"),
            ..Told::default()
        })?;
        while !stop::asked() {
            if let Some(told) = events.next_timeout(LOOK).and_then(told) {
                self.tell(told)?;
            }
        }
        db.close()?;
        self.tell(Told {
            event: "left",
            words: format!("left {dir}"),
            ..Told::default()
        })
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

impl Told {
    fn leading(epoch: u64) -> Self {
        Told {
            event: "leading",
            pid: Some(std::process::id()),
            epoch: Some(epoch),
            words: format!("leading, epoch {epoch}"),
        }
    }

    fn following(leader: u32, epoch: u64) -> Self {
        Told {
            event: "following",
            pid: Some(leader),
            epoch: Some(epoch),
            words: format!("following pid {leader}"),
        }
    }
}

fn told(event: Event) -> Option<Told> {
    Some(match event {
        Event::Elected { epoch } => Told::leading(epoch),
        Event::Attached { leader_pid, epoch } => Told::following(leader_pid, epoch),
        Event::LeaderLost { leader_pid, epoch } => Told {
            event: "leader-lost",
            pid: Some(leader_pid),
            epoch: Some(epoch),
            words: format!("the leader, pid {leader_pid}, has gone"),
        },
        Event::SteppedDown { failed, epoch } => Told {
            event: if failed { "failed" } else { "stepped-down" },
            pid: Some(std::process::id()),
            epoch: Some(epoch),
            words: match failed {
                true => "leading was given up: the database could be written no more".into(),
                false => "leading was given up to another process".into(),
            },
        },
        _ => return None,
    })
}
