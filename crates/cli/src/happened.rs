//! Events of this process's part in the party, in words.

use level_party::Event;

/// What `serve` and `top` say of an event; nothing of one that is said in another way.
pub fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Elected { epoch } => format!("leading, epoch {epoch}"),
        Event::Attached { leader_pid, .. } => format!("following pid {leader_pid}"),
        Event::LeaderLost { leader_pid, .. } => format!("the leader, pid {leader_pid}, has gone"),
        Event::SteppedDown { failed: true, .. } => {
            "leading was given up: the database could be written no more".into()
        }
        Event::SteppedDown { .. } => "leading was given up to another process".into(),
        Event::Trouble { what } => what.clone(),
        _ => return None,
    })
}
