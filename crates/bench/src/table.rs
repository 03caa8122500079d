//! Tables of figures, each beside what it is measured against.
//!
//! Promises: Markdown that reads well in a terminal too. Must not know: where figures come from.

use std::fmt;

use crate::samples::Summary;

/// What a table's times are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Nanos => "ns",
            Unit::Micros => "us",
            Unit::Millis => "ms",
        }
    }

    fn nanos(self) -> f64 {
        match self {
            Unit::Nanos => 1.0,
            Unit::Micros => 1e3,
            Unit::Millis => 1e6,
        }
    }
}

/// Rows of figures in groups. In each group the first row is the reference or the peer, and the others stand beside it as
/// ratios (below 1 is faster). Figures that are no times have columns of their own.
///
/// ```
/// use std::time::Duration;
/// use level_party_bench::{Summary, Table, Unit};
/// let mut table = Table::new("gets", Unit::Micros);
/// table.group("hit");
/// table.row("peer", Some(Summary::of_total(1, Duration::from_micros(4))));
/// table.row("ours", Some(Summary::of_total(1, Duration::from_micros(3))));
/// assert!(table.to_string().contains("0.75"));
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    unit: Unit,
    notes: Vec<String>,
    columns: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    name: String,
    summary: Option<Summary>,
    /// What stands in the table's own columns.
    extra: Vec<String>,
}

const HEADS: [&str; 9] = [
    "",
    "",
    "n",
    "p50",
    "mean",
    "p99",
    "max",
    "p50 ratio",
    "mean ratio",
];

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>, unit: Unit) -> Table {
        Table {
            title: title.into(),
            unit,
            notes: Vec::new(),
            columns: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Says something about the whole table, above it.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a column behind the ratios, for figures that are no times.
    pub fn column(&mut self, head: impl Into<String>) {
        self.columns.push(head.into());
    }

    /// Begins a group; its first row is what the others stand beside.
    pub fn group(&mut self, name: impl Into<String>) {
        self.groups.push(Group {
            name: name.into(),
            rows: Vec::new(),
        });
    }

    /// Adds a row to the group; `None` is a peer that is absent.
    pub fn row(&mut self, name: impl Into<String>, summary: Option<Summary>) {
        self.row_with(name, summary, Vec::new());
    }

    /// Adds a row with its cells in the table's own columns, in the order of [`Table::column`].
    pub fn row_with(
        &mut self,
        name: impl Into<String>,
        summary: Option<Summary>,
        extra: Vec<String>,
    ) {
        if self.groups.is_empty() {
            self.group("");
        }
        if let Some(group) = self.groups.last_mut() {
            group.rows.push(Row {
                name: name.into(),
                summary,
                extra,
            });
        }
    }

    fn heads(&self) -> Vec<&str> {
        let own = self.columns.iter().map(String::as_str);
        HEADS.into_iter().chain(own).collect()
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let mut lines = Vec::new();
        for group in &self.groups {
            let beside = group.rows.first().and_then(|row| row.summary.as_ref());
            for (i, row) in group.rows.iter().enumerate() {
                let mut cells = vec![String::new(); HEADS.len()];
                if i == 0 {
                    cells[0].clone_from(&group.name);
                }
                cells[1].clone_from(&row.name);
                match &row.summary {
                    None => "absent".clone_into(&mut cells[2]),
                    Some(summary) => self.figures(summary, beside.filter(|_| i > 0), &mut cells),
                }
                let own = row
                    .extra
                    .iter()
                    .cloned()
                    .chain(std::iter::repeat(String::new()));
                cells.extend(own.take(self.columns.len()));
                lines.push(cells);
            }
        }
        lines
    }

    /// Fills in the cells of a row's times, and of their ratios to those of the row that it stands beside.
    fn figures(&self, summary: &Summary, beside: Option<&Summary>, cells: &mut [String]) {
        let time = |nanos: Option<f64>| nanos.map_or(String::new(), |n| self.time(n));
        cells[2] = summary.count.to_string();
        cells[3] = time(summary.p50);
        cells[4] = time(Some(summary.mean));
        cells[5] = time(summary.p99);
        cells[6] = time(summary.max);
        if let Some(beside) = beside {
            cells[7] = ratio(summary.p50, beside.p50);
            cells[8] = ratio(Some(summary.mean), Some(beside.mean));
        }
    }

    fn time(&self, nanos: f64) -> String {
        let time = nanos / self.unit.nanos();
        match time {
            t if t >= 100.0 => format!("{t:.0}"),
            t if t >= 10.0 => format!("{t:.1}"),
            t if t >= 0.1 => format!("{t:.2}"),
            t => format!("{t:.3}"),
        }
    }
}

fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    match (of, to) {
        (Some(of), Some(to)) if to > 0.0 => format!("{:.2}", of / to),
        _ => String::new(),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {} ({})\n", self.title, self.unit.name())?;
        for note in &self.notes {
            writeln!(f, "{note}\n")?;
        }
        let heads = self.heads();
        let lines = self.cells();
        let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let write = |f: &mut fmt::Formatter<'_>, line: &[&str]| {
            for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
                match i {
                    0 | 1 => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")
        };
        write(f, &heads)?;
        for (i, width) in widths.iter().enumerate() {
            match i {
                0 | 1 => write!(f, "|{:-<1$}", "", width + 2)?,
                _ => write!(f, "|{:->1$}:", "", width + 1)?,
            }
        }
        writeln!(f, "|")?;
        for line in &lines {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            write(f, &line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn total(micros: u64) -> Option<Summary> {
        Some(Summary::of_total(1, Duration::from_micros(micros)))
    }

    #[test]
    fn a_row_stands_beside_the_first_of_its_own_group() {
        let mut table = Table::new("t", Unit::Micros);
        table.group("a");
        table.row("reference", total(10));
        table.row("ours", total(15));
        table.group("b");
        table.row("reference", total(100));
        table.row("ours", total(120));
        let cells = table.cells();
        assert_eq!(cells[1][8], "1.50");
        assert_eq!(cells[3][8], "1.20");
        assert_eq!(cells[0][8], "");
    }

    #[test]
    fn beside_an_absent_peer_there_is_no_ratio() {
        let mut table = Table::new("t", Unit::Millis);
        table.row("peer", None);
        table.row("ours", total(1_500));
        let cells = table.cells();
        assert_eq!(cells[0][2], "absent");
        assert_eq!((cells[1][4].as_str(), cells[1][8].as_str()), ("1.50", ""));
    }

    #[test]
    fn own_columns_stand_behind_the_ratios() {
        let mut table = Table::new("t", Unit::Micros);
        table.column("calls/s");
        table.row_with("reference", total(10), vec!["100000".to_owned()]);
        table.row("ours", None);
        assert!(table.to_string().contains("| mean ratio | calls/s |"));
        let cells = table.cells();
        assert_eq!(cells[0][9], "100000");
        assert_eq!((cells[1].len(), cells[1][9].as_str()), (10, ""));
    }

    #[test]
    fn all_lines_of_a_table_are_equally_long() {
        let mut table = Table::new("t", Unit::Nanos);
        table.row("a long name of a row", total(1));
        table.row("b", total(1_000_000));
        let text = table.to_string();
        let lines: Vec<usize> = text
            .lines()
            .filter(|l| l.starts_with('|'))
            .map(str::len)
            .collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|length| *length == lines[0]), "{text}");
    }
}
