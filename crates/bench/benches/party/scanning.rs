//! What a scan costs an entry: through the leader's own handle, and through a follower's.

use level_party::{Db, Role};
use level_party_bench::{Result, Summary, Table, Unit};

use crate::settings::Settings;
use crate::{local, member, stores};

pub fn measure(settings: &Settings) -> Result<Table> {
    let dir = settings.temporary()?;
    let database = dir.path().join("db");
    local::run_store("engine", "prepare", &database, settings)?;
    let mut leader = member::start(&database, "leader")?;
    let db = Db::open(&database)?;
    if db.role() != Role::Follower {
        return Err("this process should have become a follower".into());
    }
    let mut table = Table::new("Scans through a handle, an entry", Unit::Nanos);
    for direction in ["forward", "reverse"] {
        let command = format!("scan {direction} {}", settings.entries());
        let follow = || stores::time_walk(&db, direction == "reverse", settings.entries());
        leader.ask(&command)?;
        follow()?;
        let (mut leading, mut following) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds() {
            leading.push(Summary::from_line(&leader.ask(&command)?)?);
            following.push(follow()?);
        }
        table.group(direction);
        table.row("leader", Some(Summary::median(&leading)));
        table.row("follower", Some(Summary::median(&following)));
    }
    Ok(table)
}
