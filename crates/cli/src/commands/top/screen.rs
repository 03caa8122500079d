//! What `top` draws.
//!
//! What it promises: what matters most is seen on every screen. From 60 columns and 16 rows on there is everything; a
//! narrower or lower one loses columns and panes, the leader and the rate last.

use std::time::Duration;

use level_party::{MemberStatus, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table, Wrap};

use super::history::History;
use crate::happened;
use crate::text::{count, counted, size, span};

/// Columns from which a row of a process has its program too, and two panes stand side by side.
const WIDE: u16 = 60;
/// Columns from which a row tells since when a process is here.
const MIDDLING: u16 = 34;
/// Rows from which there are panes below the processes.
const HIGH: u16 = 16;
/// Rows that the processes have at least where there are panes: the leader and two more.
const PROCESSES: u16 = 6;
/// Rows from which there are frames at all.
const LOW: u16 = 8;

/// Draws all there is to see.
pub fn draw(frame: &mut Frame<'_>, history: &History) {
    let area = frame.area();
    if area.width < MIDDLING || area.height < LOW {
        return draw_gist(frame, area, history);
    }
    let [head, main, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(3),
        Constraint::Length(if area.height < HIGH { 1 } else { 2 }),
    ])
    .areas(area);
    draw_head(frame, head, history);
    draw_foot(frame, foot, history);
    if area.height < HIGH {
        return draw_processes(frame, main, history);
    }
    let below = main.height.saturating_sub(PROCESSES).min(10);
    let [processes, panes] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(main);
    draw_processes(frame, processes, history);
    if area.width < WIDE {
        return draw_rates(frame, panes, history);
    }
    let [rates, levels] =
        Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(panes);
    draw_rates(frame, rates, history);
    draw_levels(frame, levels, history);
}

/// Who leads and how fast it goes, for a screen that has room for nothing else.
fn draw_gist(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let mut lines = Vec::new();
    if let Some(status) = &history.status {
        lines.push(Line::from(format!("♛ {}", status.leader.leader_pid)).bold());
        lines.push(Line::from(format!("{}/s", count(history.rate()))));
        lines.push(Line::from(format!("{} here", status.leader.members.len())));
    }
    lines.extend(trouble(history).map(|why| Line::from(why).fg(Color::Red)));
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let mut lines = vec![Line::from(format!("level-party  {}", history.dir)).bold()];
    if let Some(status) = &history.status {
        let leader = &status.leader;
        lines.push(Line::from(format!(
            "epoch {} for {}   changes of leader seen {}   sequence {}",
            leader.epoch,
            span(leader.leading_for),
            history.changes,
            count(leader.last_sequence),
        )));
        let held = leader
            .oldest_pin_held_for
            .map_or(String::new(), |held| format!(", held for {}", span(held)));
        lines.push(Line::from(format!(
            "snapshots {}{held}   in memory {}   calls waiting {}",
            count(leader.pins),
            size(leader.memtable_bytes),
            count(status.queued_calls),
        )));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_processes(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let Some(status) = &history.status else {
        return;
    };
    let members = &status.leader.members;
    let room = usize::from(area.height.saturating_sub(3)); // The frame and the names of the columns.
    let shown = members.len().min(room);
    let wide = area.width >= WIDE;
    let rows = members.iter().take(shown);
    let rows: Vec<Row<'_>> = rows.map(|member| process(status, member, wide)).collect();
    let title = match members.len() - shown {
        0 => format!(" processes {} ", members.len()),
        more => format!(" processes {}, {more} not shown ", members.len()),
    };
    let mut names = vec!["", "pid", "role", "here for"];
    let mut widths = [1, 8, 8, 10].map(Constraint::Length).to_vec();
    if wide {
        names.extend(["holds", "program"]);
        widths.extend([Constraint::Length(14), Constraint::Min(8)]);
    }
    let table = Table::new(rows, widths)
        .header(Row::new(names).dim())
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// A process's row: the first of them is the leader's.
fn process(status: &Status, member: &MemberStatus, wide: bool) -> Row<'static> {
    let leads = member.pid == status.leader.leader_pid;
    let mut cells = vec![
        if leads { "♛" } else { "" }.to_string(),
        member.pid.to_string(),
        if leads { "leader" } else { "follower" }.to_string(),
        span(member.attached_for),
    ];
    if wide {
        cells.push(held(member));
        cells.push(match member.pid == status.pid {
            true => format!("{} (this screen)", program(member)),
            false => program(member),
        });
    }
    let row = Row::new(cells);
    match leads {
        true => row.style(Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD)),
        false => row,
    }
}

/// The moments that a process holds by snapshots and iterators.
fn held(member: &MemberStatus) -> String {
    match member.oldest_pin_held_for {
        _ if member.pins == 0 => String::new(),
        Some(since) if since >= Duration::from_secs(1) => {
            format!("{}, {}", count(member.pins), span(since))
        }
        _ => counted(member.pins, "moment", "moments"),
    }
}

/// The file name of a process's program.
fn program(member: &MemberStatus) -> String {
    let program = member.program.as_deref().unwrap_or_default();
    let name = std::path::Path::new(program).file_name();
    let name = name.map_or(program.into(), |name| name.to_string_lossy());
    crate::text::printable(name.as_bytes(), &[])
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let columns = usize::from(area.width.saturating_sub(2));
    let skip = history.rates.len().saturating_sub(columns);
    let shown: Vec<u64> = history.rates.iter().skip(skip).copied().collect();
    let title = format!(" writes/s {} ", count(history.rate()));
    let spark = Sparkline::default()
        .data(shown)
        .style(Style::new().fg(Color::Cyan))
        .block(Block::bordered().title(title));
    frame.render_widget(spark, area);
}

fn draw_levels(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let Some(status) = &history.status else {
        return;
    };
    let tables = status.leader.files_per_level.iter();
    let rows =
        tables
            .zip(&status.leader.bytes_per_level)
            .enumerate()
            .map(|(level, (files, bytes))| {
                Row::new([format!("L{level}"), count(*files), size(*bytes)])
            });
    let widths = [
        Constraint::Length(5),
        Constraint::Length(8),
        Constraint::Min(8),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["level", "tables", "bytes"]).dim())
        .block(Block::bordered().title(" levels "));
    frame.render_widget(table, area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let micros = |share| history.latency(share).as_secs_f64() * 1e6;
    let answered = Line::from(format!(
        "q quits   status answered in p50 {:.0} µs, p99 {:.0} µs",
        micros(0.5),
        micros(0.99)
    ));
    let trouble = trouble(history).map(|why| Line::from(why).fg(Color::Red));
    let trouble = trouble.or_else(|| (area.height > 1).then(|| last_event(history))?);
    let lines = match (trouble, area.height) {
        (Some(trouble), 1) => vec![trouble],
        (trouble, _) => std::iter::once(answered).chain(trouble).collect(),
    };
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

/// What happened last to this screen's process.
fn last_event(history: &History) -> Option<Line<'static>> {
    let last = history.status.as_ref()?.recent_events.first()?;
    let words = happened::words(&last.event)?;
    Some(Line::from(format!("{} ago: {words}", span(last.ago))).dim())
}

/// What is wrong: the latest question was not answered, or the leader has said so, or something was lost.
fn trouble(history: &History) -> Option<String> {
    if history.trouble.is_some() {
        return history.trouble.clone();
    }
    let leader = &history.status.as_ref()?.leader;
    let lost = leader.losses.first().map(|loss| match leader.losses.len() {
        1 => format!("lost: {loss}"),
        count => format!("lost: {loss}; {} more in `status`", count - 1),
    });
    leader.background_error.clone().or(lost)
}

#[cfg(test)]
mod tests;
