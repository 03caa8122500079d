//! Puts that are on stable storage before they are answered, of one process and of several at once.

use level_party_bench::{Result, Table, Unit};

use crate::settings::Settings;
use crate::subject::{Shared, Subject, median_together, per_second, rounds_at_once};
use crate::worker::Work;

/// Processes that put at once.
const PROCESSES: [usize; 2] = [1, 4];
/// The rows. LMDB is none: one peer is enough, and its flags here are those without syncs.
const SUBJECTS: [Subject; 2] = [Subject::Sqlite, Subject::Party];

pub fn measure(settings: &Settings) -> Result<Table> {
    let dir = settings.temporary()?;
    let most = PROCESSES.iter().copied().max().unwrap_or(1);
    let mut shared = Shared::each(&Subject::ALL, dir.path(), settings, most, true)?;
    let mut table = Table::new("Puts with a sync each, a call", Unit::Micros);
    table.column("calls/s");
    for processes in PROCESSES {
        let rounds = rounds_at_once(settings, &mut shared, SUBJECTS, processes, Work::Put)?;
        table.group(match processes {
            1 => "1 process".to_owned(),
            _ => format!("{processes} processes at once"),
        });
        for (subject, rounds) in SUBJECTS.iter().zip(&rounds) {
            let summary = median_together(rounds);
            let rate = summary
                .as_ref()
                .map(|summary| format!("{:.0}", per_second(summary, processes)));
            table.row_with(subject.name(), summary, rate.into_iter().collect());
        }
    }
    Ok(table)
}
