//! How many calls one, two, four and eight processes make at once in one database, and what share each has in them.

use level_party_bench::{Result, Summary, Table, Unit};

use crate::settings::Settings;
use crate::subject::{Shared, Subject, median_together, per_second, rounds_at_once};
use crate::worker::Work;

/// Processes that call at once; the others of the largest number have the database open.
const PROCESSES: [usize; 4] = [1, 2, 4, 8];

/// Gets, and then puts, of any entry.
pub fn measure(settings: &Settings) -> Result<[Table; 2]> {
    let dir = settings.temporary()?;
    let most = PROCESSES.iter().copied().max().unwrap_or(1);
    let mut shared = Shared::each(&Subject::ALL, dir.path(), settings, most, false)?;
    let gets = "Gets of several processes at once, a call";
    let puts = "Puts of several processes at once, a call";
    Ok([
        of_work(settings, &mut shared, Work::GetHit, gets)?,
        of_work(settings, &mut shared, Work::Put, puts)?,
    ])
}

fn of_work(settings: &Settings, shared: &mut [Shared], work: Work, title: &str) -> Result<Table> {
    let mut table = Table::new(title, Unit::Micros);
    for head in ["calls/s", "x 1 process", "least share"] {
        table.column(head);
    }
    let mut alone = Subject::ALL.map(|_| None);
    for processes in PROCESSES {
        let rounds = rounds_at_once(settings, shared, Subject::ALL, processes, work)?;
        table.group(match processes {
            1 => "1 process".to_owned(),
            _ => format!("{processes} processes"),
        });
        for ((subject, rounds), alone) in Subject::ALL.iter().zip(&rounds).zip(&mut alone) {
            let summary = median_together(rounds);
            let shares = rounds.iter().map(|each| least_share(each));
            let least = shares.fold(f64::INFINITY, f64::min);
            let rate = summary
                .as_ref()
                .map(|summary| per_second(summary, processes));
            let cells = rate.map(|rate| {
                let alone = *alone.get_or_insert(rate);
                let cells = [format!("{rate:.0}"), format!("{:.2}", rate / alone)];
                [&cells[..], &[format!("{least:.2}")]].concat()
            });
            table.row_with(subject.name(), summary, cells.unwrap_or_default());
        }
    }
    Ok(table)
}

/// How many calls the slowest process made, beside an equal share of all.
fn least_share(each: &[Summary]) -> f64 {
    let all: u64 = each.iter().map(|one| one.count).sum();
    let least = each.iter().map(|one| one.count).min().unwrap_or(0);
    least as f64 * each.len() as f64 / all as f64
}
