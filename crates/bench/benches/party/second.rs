//! A second process beside the first: what its calls cost, beside the first's and beside databases in which all
//! processes are equal.
//!
//! The first process has the database open and does nothing while the second calls, and the other way round. Where
//! processes are equal only the second is a row.

use level_party_bench::{Result, Summary, Table, Unit};

use crate::settings::Settings;
use crate::subject::{Shared, Subject, median, median_together, rounds_at_once};
use crate::worker::Work;

const READS: [(Work, &str); 4] = [
    (Work::GetHit, "get hit"),
    (Work::GetMiss, "get miss"),
    (Work::ScanForward, "scan forward, an entry"),
    (Work::ScanReverse, "scan reverse, an entry"),
];

/// Rows: a name, whose database, and which of its processes calls.
const ROWS: [(&str, Subject, usize); 4] = [
    ("LMDB", Subject::Lmdb, 1),
    ("SQLite", Subject::Sqlite, 1),
    ("level-party, first process", Subject::Party, 0),
    ("level-party, second process", Subject::Party, 1),
];

pub fn measure(settings: &Settings) -> Result<Table> {
    let dir = settings.temporary()?;
    let mut shared = Shared::all(dir.path(), settings, 2, false)?;
    let mut table = Table::new("A second process beside the first", Unit::Micros);
    let mut notes = Vec::new();
    for (work, name) in READS {
        table.group(name);
        notes
            .extend(calls(settings, &mut shared, work, &mut table)?.map(|n| format!("{name} {n}")));
    }
    table.group("get hit, both processes at it");
    let gets = both(settings, &mut shared, Work::GetHit, &mut table)?;
    // Last, so that all read what nobody had written to since it was compacted.
    table.group("put");
    notes.extend(calls(settings, &mut shared, Work::Put, &mut table)?.map(|n| format!("put {n}")));
    table.group("95 % gets, 5 % puts, both processes at it");
    let mixed = both(settings, &mut shared, Work::Mixed, &mut table)?;
    table.note(format!(
        "The second process's time as a multiple of the first's and of SQLite's: {}.",
        notes.join("; ")
    ));
    if let (Some(gets), Some(mixed)) = (gets, mixed) {
        table.note(format!(
            "With both at it a get takes {gets:.2} of SQLite's time, a call of the mixture {mixed:.2}."
        ));
    }
    Ok(table)
}

/// Adds a group's rows. `A and B`: the last row beside the one before it, and beside SQLite, if that is there.
fn calls(
    settings: &Settings,
    shared: &mut [Shared],
    work: Work,
    table: &mut Table,
) -> Result<Option<String>> {
    let mut rounds = ROWS.map(|_| Vec::new());
    for _ in 0..settings.rounds() {
        for ((_, subject, process), rounds) in ROWS.iter().zip(&mut rounds) {
            if let Some(shared) = Shared::of(shared, *subject) {
                rounds.push(shared.workers[*process].measure(work, settings.calls())?);
            }
        }
    }
    let figures = rounds.map(|rounds| median(&rounds));
    for ((name, ..), summary) in ROWS.iter().zip(&figures) {
        table.row(*name, summary.clone());
    }
    let [_, sqlite, first, second] = figures;
    let ratio = |to: Option<Summary>| {
        let (of, to) = (second.as_ref()?, to?);
        let (of, to) = (of.p50.unwrap_or(of.mean), to.p50.unwrap_or(to.mean));
        Some(format!("{:.2}", of / to))
    };
    Ok(ratio(first).map(|first| match ratio(sqlite) {
        Some(sqlite) => format!("{first} and {sqlite}"),
        None => first,
    }))
}

/// Adds rows of calls that both processes make at the same time. Ours beside SQLite's, if that is there.
fn both(
    settings: &Settings,
    shared: &mut [Shared],
    work: Work,
    table: &mut Table,
) -> Result<Option<f64>> {
    let rounds = rounds_at_once(settings, shared, Subject::ALL, 2, work)?;
    let figures = rounds.each_ref().map(|rounds| median_together(rounds));
    for (subject, summary) in Subject::ALL.iter().zip(&figures) {
        table.row(subject.name(), summary.clone());
    }
    let [_, _, ours] = &rounds;
    for (process, name) in ["first", "second"].iter().enumerate() {
        let own: Vec<_> = ours.iter().map(|each| each[process].clone()).collect();
        table.row(format!("- of it, {name} process"), median(&own));
    }
    let [_, sqlite, party] = figures;
    Ok(sqlite
        .zip(party)
        .map(|(sqlite, party)| party.mean / sqlite.mean))
}
