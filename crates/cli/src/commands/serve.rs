//! `serve`: stay, so that the directory has a leader for as long as the others come and go.

use std::time::Duration;

use clap::Args;
use level_party::{Event, Role};

use crate::args::{Creating, Target};
use crate::failure::{Result, say};
use crate::stop;

/// How long it takes at most until a signal is heeded.
const LOOK: Duration = Duration::from_millis(100);

/// Stay in the party until Ctrl-C or SIGTERM, and lead it whenever nobody else does.
///
/// Nobody needs it. It spares short commands the opening of the database: they follow this process. It says what becomes of it on standard error, and hands over when it leaves.
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    creating: Creating,
}

impl Serve {
    /// Stays until it is stopped.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_for_writing(self.creating)?;
        stop::instead(|| ());
        let mut events = db.events()?;
        let status = db.status()?;
        let dir = self.target.dir.display();
        match status.role {
            Role::Leader => leading(status.leader.epoch),
            _ => following(status.leader.leader_pid),
        }
        say(format_args!(
            "serving {dir} as pid {}; Ctrl-C leaves",
            status.pid
        ));
        while !stop::asked() {
            match events.recv_timeout(LOOK) {
                Some(Event::Elected { epoch }) => leading(epoch),
                Some(Event::Attached { leader_pid, .. }) => following(leader_pid),
                Some(Event::LeaderLost { leader_pid, .. }) => {
                    say(format_args!("the leader, pid {leader_pid}, has gone"));
                }
                Some(Event::SteppedDown { failed: true, .. }) => {
                    say(format_args!(
                        "leading was given up: the database could be written no more"
                    ));
                }
                Some(Event::SteppedDown { .. }) => say("leading was given up to another process"),
                _ => {}
            }
        }
        db.close()?;
        say(format_args!("left {dir}"));
        Ok(())
    }
}

fn leading(epoch: u64) {
    say(format_args!("leading, epoch {epoch}"));
}

fn following(leader: u32) {
    say(format_args!("following pid {leader}"));
}
