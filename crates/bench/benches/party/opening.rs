//! Attaching to a leader, and opening a directory that holds nothing yet.

use std::path::Path;

use level_party::{Db, Readable, Role};
use level_party_bench::{Peer, Result, Samples, Table, Unit};

use crate::settings::Settings;
use crate::{echo, member, stores, syncs};

pub fn measure(settings: &Settings, peer: Option<&Peer>) -> Result<Table> {
    let mut table = Table::new("Opening", Unit::Millis);
    let dir = settings.temporary()?;
    attach(dir.path(), settings.kills(), &mut table)?;
    create(dir.path(), settings.kills(), peer, &mut table)?;
    Ok(table)
}

/// In turn: a bare connection to a server that gives it a thread, up to its first answer; and an `open` beside a leader.
fn attach(dir: &Path, count: usize, table: &mut Table) -> Result<()> {
    let database = dir.join("attached");
    let _leader = member::start(&database, "leader")?;
    let socket = dir.join("reference.sock");
    let _server = echo::start(&socket)?;
    let (mut reference, mut open, mut get) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..count {
        reference.time_each(0..1, |_| echo::connect(&socket))?;
        let mut handle = None;
        open.time_each(0..1, |_| {
            handle = Some(Db::open(&database)?);
            Ok(())
        })?;
        let db = handle.ok_or("the open was made")?;
        get.time_each(0..1, |_| Ok(db.get("nothing").map(drop)?))?;
        if db.role() != Role::Follower {
            return Err("this process should have become a follower".into());
        }
        db.close()?;
    }
    table.group("attach to a leader");
    table.row(
        "reference: connect, a thread, an answer",
        Some(reference.summary(1)),
    );
    table.row("open as a follower", Some(open.summary(1)));
    table.row("its first get", Some(get.summary(1)));
    Ok(())
}

fn create(dir: &Path, count: usize, peer: Option<&Peer>, table: &mut Table) -> Result<()> {
    let cpp = peer
        .map(|peer| peer.measure("open-empty", dir, count, "snappy"))
        .transpose()?;
    let (mut reference, mut engines, mut leaders) =
        (Samples::default(), Samples::default(), Samples::default());
    for i in 0..count {
        reference.push(syncs::publish(dir, None)?);
        let name = dir.join(format!("engine-{i}"));
        let mut engine = None;
        engines.time_each(0..1, |_| {
            engine = Some(stores::open_engine(&name, true)?);
            Ok(())
        })?;
        let name = dir.join(format!("leader-{i}"));
        let mut leader = None;
        leaders.time_each(0..1, |_| {
            leader = Some(Db::open(&name)?);
            Ok(())
        })?;
    }
    table.group("make an empty database");
    table.row(
        "reference: its files written and synced",
        Some(reference.summary(1)),
    );
    table.row("C++ LevelDB", cpp);
    table.row("engine", Some(engines.summary(1)));
    table.row("open as a leader", Some(leaders.summary(1)));
    Ok(())
}
