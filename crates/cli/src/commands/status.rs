//! `status`: who leads, who follows, and how the database is.

use clap::Args;
use level_party::{
    LastTrouble, LeaderStatus, MemberStatus, Role, ServerStatus, ServiceState, Status,
};
use serde_json::{Map, Value};

use crate::args::Target;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::text::{count, counted, size};

/// Say who leads, who follows, and how the database is.
///
/// The command joins the party to ask: where nobody else has the database open, it opens it for that moment.
#[derive(Args, Debug)]
pub struct StatusCommand {
    #[command(flatten)]
    target: Target,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    /// Prints the status.
    pub fn run(self) -> Result<()> {
        let db = self.target.open_to_view()?;
        let status = db.status()?;
        let mut output = Output::stdout();
        if self.json {
            output.json(&fields(&status)?)?;
        } else {
            for (name, text) in lines(&status) {
                output.line(format_args!("{name:<12}{text}"))?;
            }
        }
        output.flush()?;
        Ok(db.close()?)
    }
}

/// The status as JSON, for `--json` and for `exec`; spans of time are whole milliseconds.
pub fn fields(status: &Status) -> Result<Map<String, Value>> {
    let value = serde_json::to_value(status)
        .map_err(|e| Failure::Database(format!("status has no JSON form: {e}")))?;
    let Value::Object(mut fields) = value else {
        return Err(Failure::Database("status has no JSON form".into()));
    };
    fields.remove("leading_for");
    let ms = u64::try_from(status.leader.leading_for.as_millis()).unwrap_or(u64::MAX);
    fields.insert("leading_for_ms".into(), ms.into());
    Ok(fields)
}

/// Of a database on a server.
fn server_lines(status: &Status, server: &ServerStatus) -> Vec<(&'static str, String)> {
    let standby = match (server.synchronous_standby, server.standby_lag_bytes) {
        (true, _) => "acknowledged writes are on a second server".to_owned(),
        (false, Some(lag)) => format!(
            "{} behind: a fail-over can lose acknowledged writes",
            size(lag)
        ),
        (false, None) => "none".to_owned(),
    };
    let mut lines = vec![
        (
            "server",
            format!("{} at {}", server.product, server.address),
        ),
        ("standby", standby),
        ("sequence", count(status.leader.last_sequence)),
        ("snapshots", count(status.leader.pins)),
    ];
    lines.extend(moved(status));
    lines.extend(
        server
            .warnings
            .iter()
            .map(|warning| ("warning", warning.clone())),
    );
    lines
}

/// Where the database is, if it was moved.
fn moved(status: &Status) -> Option<(&'static str, String)> {
    match &status.service {
        ServiceState::Moved { to, .. } => {
            Some(("moved", format!("to {to}; writes are refused here")))
        }
        _ => None,
    }
}

/// The tables of each level.
fn levels(leader: &LeaderStatus) -> String {
    let tables = leader
        .files_per_level
        .iter()
        .zip(&leader.bytes_per_level)
        .enumerate();
    let levels: Vec<String> = tables
        .filter(|(_, (files, _))| **files > 0)
        .map(|(level, (files, bytes))| {
            format!(
                "L{level}: {}, {}",
                counted(*files, "table", "tables"),
                size(*bytes)
            )
        })
        .collect();
    match levels.is_empty() {
        true => "no tables yet".into(),
        false => levels.join("; "),
    }
}

fn lines(status: &Status) -> Vec<(&'static str, String)> {
    if let Some(server) = &status.server {
        return server_lines(status, server);
    }
    let leader = &status.leader;
    let mut lines = Vec::new();
    lines.push(match (status.role, leader.followers.is_empty()) {
        (Role::Leader, true) => (
            "leader",
            format!("this command (pid {}): nobody else has it open", status.pid),
        ),
        (Role::Leader, false) => ("leader", format!("this command (pid {})", status.pid)),
        _ => {
            let program = leader
                .leader_program
                .as_ref()
                .map_or(String::new(), |program| format!(", {program}"));
            ("leader", format!("pid {}{program}", leader.leader_pid))
        }
    });
    lines.push((
        "epoch",
        format!(
            "{}, for {:.1} s",
            leader.epoch,
            leader.leading_for.as_secs_f64()
        ),
    ));
    let followers: Vec<_> = leader.members.iter().skip(1).collect();
    lines.push((
        "followers",
        match followers.len() {
            0 => "none".into(),
            some => some.to_string(),
        },
    ));
    for member in followers {
        lines.push(("", attached(member, member.pid == status.pid)));
    }
    lines.push(("sequence", count(leader.last_sequence)));
    lines.push(match leader.oldest_pin {
        Some(oldest) => (
            "snapshots",
            format!(
                "{}, the oldest at {}{}",
                count(leader.pins),
                count(oldest),
                leader
                    .oldest_pin_held_for
                    .map_or(String::new(), |held| format!(
                        ", held for {:.1} s",
                        held.as_secs_f64()
                    ))
            ),
        ),
        None => ("snapshots", count(leader.pins)),
    });
    lines.push(("memory", size(leader.memtable_bytes)));
    lines.push(("levels", levels(leader)));
    lines.extend(moved(status));
    for difference in &status.differing_options {
        lines.push(("option", difference.clone()));
    }
    for loss in &leader.losses {
        lines.push(("lost", loss.clone()));
    }
    let harmless = |dropped: &&String| !leader.losses.contains(dropped);
    for dropped in leader.dropped.iter().filter(harmless) {
        lines.push(("recovery", dropped.clone()));
    }
    if let Some(error) = &leader.background_error {
        lines.push(("problem", error.clone()));
    }
    for member in &leader.members {
        if let Some(trouble) = &member.last_trouble {
            lines.push(("trouble", troubled(member.pid, trouble)));
        }
    }
    lines
}

/// What went wrong last in a process.
fn troubled(pid: u32, trouble: &LastTrouble) -> String {
    let LastTrouble { what, ago, .. } = trouble;
    format!("pid {pid}, {:.1} s ago: {what}", ago.as_secs_f64())
}

/// What is known of a follower.
fn attached(member: &MemberStatus, this: bool) -> String {
    let mut line = format!("pid {}", member.pid);
    if let Some(program) = &member.program {
        line.push_str(&format!(", {program}"));
    }
    line.push_str(&format!(", for {:.1} s", member.attached_for.as_secs_f64()));
    if member.pins > 0 {
        line.push_str(&format!(
            ", holds {}",
            counted(member.pins, "moment", "moments")
        ));
    }
    if this {
        line.push_str(" (this command)");
    }
    line
}
