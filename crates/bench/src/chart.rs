//! The chart of a run, and the same figures as a table for the README.
//!
//! Promises: both are made of the cells that the run printed, and of nothing else. Must not know: how they were measured.
//!
//! The SVG is written here: a dozen bars with their labels need no plotting library, and no other crate of the workspace
//! needs one.

use std::fmt::Write;

use crate::{Recorded, Result};

/// Which calls the chart shows: what it calls them; the table, the group, the column, and the row of level-party.
const CALLS: [(&str, [&str; 4]); 5] = [
    (
        "get, in a second process",
        [SECOND, "get hit", "p50", "level-party, second process"],
    ),
    (
        "scan, in a second process, an entry",
        [
            SECOND,
            "scan forward, an entry",
            "mean",
            "level-party, second process",
        ],
    ),
    (
        "put, in a second process",
        [SECOND, "put", "p50", "level-party, second process"],
    ),
    (
        "95 % gets, 5 % puts, two processes at once",
        [
            SECOND,
            "95 % gets, 5 % puts, both processes at it",
            "mean",
            "level-party",
        ],
    ),
    (
        "put with a sync, four processes at once",
        [SYNCED, "4 processes at once", "mean", "level-party"],
    ),
];
const SECOND: &str = "A second process beside the first";
const SYNCED: &str = "Puts with a sync each, a call";

/// The peers that a group may lack.
const PEERS: [&str; 2] = ["SQLite", "LMDB"];

const WIDTH: usize = 760;
/// Where bars begin, and how long the longest of a group is.
const LEFT: usize = 120;
const LONGEST: f64 = 540.0;
const BAR: usize = 16;
const GAP: usize = 5;
const HEAD: usize = 24;

/// One group of bars.
#[derive(Clone, Debug)]
struct Calls {
    name: &'static str,
    /// The store that was measured, and the time as the run printed it.
    times: Vec<(&'static str, String)>,
}

impl Calls {
    fn all(run: &Recorded) -> Result<Vec<Calls>> {
        CALLS
            .into_iter()
            .map(|(name, [table, group, column, ours])| {
                let mut times = vec![(
                    "level-party",
                    run.cell(table, group, ours, column)?.to_owned(),
                )];
                for peer in PEERS {
                    // No run has LMDB's puts with a sync, and none has peers without the feature.
                    if let Ok(time) = run.cell(table, group, peer, column)
                        && !time.is_empty()
                    {
                        times.push((peer, time.to_owned()));
                    }
                }
                Ok(Calls { name, times })
            })
            .collect()
    }
}

/// The chart of a run as SVG: bars of one group are to one scale, and shorter is better.
///
/// # Errors
/// The run lacks a table or row of level-party that is shown, or a cell is no number.
pub fn svg(run: &Recorded) -> Result<String> {
    let mut bars = String::new();
    let mut y = HEAD;
    for calls in Calls::all(run)? {
        writeln!(
            bars,
            r#"<text class="head" x="0" y="{}">{}</text>"#,
            y + 14,
            calls.name
        )?;
        y += HEAD;
        let times = calls.times.iter().map(|(_, time)| time.parse::<f64>());
        let times = times.collect::<std::result::Result<Vec<_>, _>>()?;
        let longest = times.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for ((who, cell), time) in calls.times.iter().zip(times) {
            let length = (time / longest * LONGEST).max(1.0);
            let class = if *who == "level-party" {
                "ours"
            } else {
                "peer"
            };
            let (base, end) = (y + BAR - 4, LEFT as f64 + length + 6.0);
            writeln!(
                bars,
                r#"<text x="{}" y="{base}" text-anchor="end">{who}</text>"#,
                LEFT - 8
            )?;
            writeln!(
                bars,
                r#"<rect class="{class}" x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}"/>"#
            )?;
            writeln!(bars, r#"<text x="{end:.1}" y="{base}">{cell} us</text>"#)?;
            y += BAR + GAP;
        }
        y += GAP * 2;
    }
    let title = "Time of a call in microseconds; shorter is better";
    Ok(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{title}">
<style>
text {{ font: 13px sans-serif; fill: #1f2328 }}
.head {{ font-weight: bold }}
.ours {{ fill: #bf4b00 }}
.peer {{ fill: #8c959f }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .ours {{ fill: #f0883e }} .peer {{ fill: #6e7681 }} }}
</style>
<text x="0" y="14">{title}</text>
{bars}</svg>
"#
    ))
}

/// The chart's figures as a Markdown table, as the README has it.
///
/// # Errors
/// As [`svg`].
pub fn table(run: &Recorded) -> Result<String> {
    let mut table = String::from("| us a call | level-party |");
    for peer in PEERS {
        write!(table, " {peer} |")?;
    }
    table.push_str("\n|---|---:|---:|---:|\n");
    for calls in Calls::all(run)? {
        let time = |who: &str| {
            let found = calls.times.iter().find(|(own, _)| *own == who);
            found.map_or("-", |(_, time)| time)
        };
        write!(table, "| {} | {} |", calls.name, time("level-party"))?;
        for peer in PEERS {
            write!(table, " {} |", time(peer))?;
        }
        table.push('\n');
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Summary, Table, Unit};

    const PAGE: &str = include_str!("../../../docs/BENCHMARKS.md");

    #[test]
    fn committed_chart_shows_the_recorded_run() {
        let drawn = svg(&Recorded::read(PAGE)).unwrap();
        let committed = include_str!("../../../docs/chart.svg");
        let how = "docs/BENCHMARKS.md says how to draw it";
        assert!(
            drawn == committed,
            "docs/chart.svg is of another run; {how}"
        );
        assert_eq!(drawn.matches("<rect").count(), 14);
    }

    #[test]
    fn readme_has_the_figures_of_the_recorded_run() {
        let table = table(&Recorded::read(PAGE)).unwrap();
        let readme = include_str!("../../../README.md");
        assert!(
            readme.contains(&table),
            "the README's figures are to be:\n{table}"
        );
    }

    #[test]
    fn chart_of_a_run_without_peers_has_our_bars_alone() {
        let time = Summary {
            p50: Some(2_000.0),
            ..Summary::of_total(1, Duration::from_micros(3))
        };
        let mut page = String::new();
        for title in [SECOND, SYNCED] {
            let mut table = Table::new(title, Unit::Micros);
            for (_, [of, group, _, ours]) in CALLS {
                if of == title {
                    table.group(group);
                    table.row("LMDB", None);
                    table.row(ours, Some(time.clone()));
                }
            }
            writeln!(page, "{table}").unwrap();
        }
        let drawn = svg(&Recorded::read(&page)).unwrap();
        assert_eq!(drawn.matches("<rect").count(), CALLS.len());
    }
}
