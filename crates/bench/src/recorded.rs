//! A run's tables, read back from the Markdown that a run prints.
//!
//! Promises: what a [`Table`](crate::Table) prints is read as it was; text around the tables is passed over. Must not know:
//! what the figures mean.

use crate::Result;

/// The tables of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    tables: Vec<Printed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Printed {
    title: String,
    heads: Vec<String>,
    /// Each with its group's name in the first cell.
    rows: Vec<Vec<String>>,
}

impl Recorded {
    /// The tables in `page`, which may have other text and other tables too.
    ///
    /// ```
    /// use level_party_bench::{Recorded, Summary, Table, Unit};
    /// let mut table = Table::new("gets", Unit::Micros);
    /// table.group("hit");
    /// table.row("ours", Some(Summary::of_total(1, std::time::Duration::from_micros(3))));
    /// let run = Recorded::read(&format!("A run.\n\n{table}"));
    /// assert_eq!(run.cell("gets", "hit", "ours", "mean").unwrap(), "3.00");
    /// ```
    pub fn read(page: &str) -> Recorded {
        let mut tables = Vec::new();
        let mut title = "";
        let mut open: Option<Printed> = None;
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                title = heading
                    .rsplit_once(" (")
                    .map_or(heading, |(title, _)| title);
            }
            let Some(cells) = cells(line) else {
                tables.extend(open.take());
                continue;
            };
            match &mut open {
                None => {
                    open = Some(Printed {
                        title: title.to_owned(),
                        heads: cells,
                        rows: Vec::new(),
                    });
                }
                Some(_) if cells.iter().all(|cell| is_rule(cell)) => {}
                Some(table) => table.push(cells),
            }
        }
        tables.extend(open);
        Recorded { tables }
    }

    /// The cell in the column `head` of the row `name` in the group `group` of the table `title`; empty where the run had no
    /// figure.
    ///
    /// # Errors
    /// The run has no such table, row or column.
    pub fn cell(&self, title: &str, group: &str, name: &str, head: &str) -> Result<&str> {
        let find = || {
            let table = self.tables.iter().find(|table| table.title == title)?;
            let column = table.heads.iter().position(|own| own == head)?;
            let mut rows = table.rows.iter();
            let row = rows.find(|row| row[0] == group && row[1] == name)?;
            row.get(column).map(String::as_str)
        };
        find().ok_or_else(|| {
            format!("the run has no {head} of {name}, {group}, in the table {title}").into()
        })
    }
}

impl Printed {
    fn push(&mut self, mut cells: Vec<String>) {
        if let (true, Some(before)) = (cells[0].is_empty(), self.rows.last()) {
            cells[0].clone_from(&before[0]);
        }
        self.rows.push(cells);
    }
}

/// A table's line as its cells, two at least.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect();
    (cells.len() >= 2).then_some(cells)
}

fn is_rule(cell: &str) -> bool {
    cell.starts_with('-') && cell.bytes().all(|byte| byte == b'-' || byte == b':')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Summary, Table, Unit};

    fn run() -> Recorded {
        let mut table = Table::new("puts", Unit::Micros);
        table.note("A note.");
        table.column("calls/s");
        for (group, micros) in [("one", 10), ("four", 20)] {
            table.group(group);
            let summary = Summary::of_total(1, Duration::from_micros(micros));
            table.row_with("peer", Some(summary.clone()), vec!["7".to_owned()]);
            table.row("ours", Some(summary));
        }
        Recorded::read(&format!(
            "| a | b |\n|---|---|\n| c | d |\n\n{table}\nEnd.\n"
        ))
    }

    #[test]
    fn printed_table_is_read_back_by_group_and_row() {
        let run = run();
        assert_eq!(run.cell("puts", "one", "ours", "mean").unwrap(), "10.0");
        assert_eq!(run.cell("puts", "four", "ours", "mean").unwrap(), "20.0");
        assert_eq!(run.cell("puts", "four", "peer", "calls/s").unwrap(), "7");
        assert_eq!(run.cell("puts", "four", "ours", "p50").unwrap(), "");
    }

    #[test]
    fn what_a_run_lacks_is_named() {
        let error = run().cell("puts", "two", "ours", "mean").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the run has no mean of ours, two, in the table puts"
        );
    }
}
