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

/// Those whose processes also call at the same time. SQLite's pages are mapped, so ours stand beside them mapped too.
const AT_ONCE: [Subject; 4] = [
    Subject::Lmdb,
    Subject::Sqlite,
    Subject::Party,
    Subject::MappedParty,
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
    let mut shared = Shared::each(&AT_ONCE, dir.path(), settings, 2, false)?;
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
            "With both at it a get takes {:.2} of SQLite's time, a call of the mixture {:.2}; with tables mapped {:.2} and {:.2}.",
            gets.default, mixed.default, gets.mapped, mixed.mapped
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

/// Our mean time beside SQLite's.
struct Beside {
    default: f64,
    mapped: f64,
}

/// Adds rows of calls that both processes make at the same time. Ours beside SQLite's, if that is there.
fn both(
    settings: &Settings,
    shared: &mut [Shared],
    work: Work,
    table: &mut Table,
) -> Result<Option<Beside>> {
    let rounds = rounds_at_once(settings, shared, AT_ONCE, 2, work)?;
    let figures = rounds.each_ref().map(|rounds| median_together(rounds));
    for (subject, (rounds, summary)) in AT_ONCE.iter().zip(rounds.iter().zip(&figures)) {
        table.row(subject.name(), summary.clone());
        if *subject == Subject::Party {
            for (process, name) in ["first", "second"].iter().enumerate() {
                let own: Vec<_> = rounds.iter().map(|each| each[process].clone()).collect();
                table.row(format!("- of it, {name} process"), median(&own));
            }
        }
    }
    let [_, sqlite, party, mapped] = figures.map(|figure| figure.map(|figure| figure.mean));
    let beside = |sqlite: f64| {
        Some(Beside {
            default: party? / sqlite,
            mapped: mapped? / sqlite,
        })
    };
    Ok(sqlite.and_then(beside))
}
