//! What `top` draws.

use level_party::Status;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table, Wrap};

use super::history::History;
use crate::text::{count, size};

/// Draws all there is to see.
pub fn draw(frame: &mut Frame<'_>, history: &History) {
    let [head, main, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(6),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(main);
    let [rates, levels] =
        Layout::vertical([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(right);
    draw_head(frame, head, history);
    if let Some(status) = &history.status {
        draw_processes(frame, left, status);
        draw_levels(frame, levels, status);
    }
    draw_rates(frame, rates, history);
    draw_foot(frame, foot, history);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let mut lines = vec![Line::from(format!("level-party  {}", history.dir)).bold()];
    if let Some(status) = &history.status {
        let leader = &status.leader;
        lines.push(Line::from(format!(
            "epoch {} for {} s   changes of leader seen {}   sequence {}   snapshots {}   in memory {}",
            leader.epoch,
            leader.leading_for.as_secs(),
            history.changes,
            count(leader.last_sequence),
            count(leader.pins),
            size(leader.memtable_bytes),
        )));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_processes(frame: &mut Frame<'_>, area: Rect, status: &Status) {
    let leader = &status.leader;
    let row = |mark: &str, pid: u32, role: &str, program: Option<&str>| {
        let name = program.map_or_else(
            || name_of(pid),
            |program| {
                let file = std::path::Path::new(program).file_name();
                file.map_or(program.to_string(), |file| {
                    file.to_string_lossy().into_owned()
                })
            },
        );
        let own = if pid == status.pid {
            " (this screen)"
        } else {
            ""
        };
        Row::new([
            mark.to_string(),
            pid.to_string(),
            role.to_string(),
            format!("{name}{own}"),
        ])
    };
    let crowned = row(
        "♛",
        leader.leader_pid,
        "leader",
        leader.leader_program.as_deref(),
    )
    .style(Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD));
    let followers = leader
        .followers
        .iter()
        .map(|&pid| row("", pid, "follower", None));
    let widths = [
        Constraint::Length(1),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Min(8),
    ];
    let total = leader.followers.len() + 1;
    let table = Table::new(std::iter::once(crowned).chain(followers), widths)
        .header(Row::new(["", "pid", "role", "program"]).dim())
        .block(Block::bordered().title(format!(" processes {total} ")));
    frame.render_widget(table, area);
}

/// A process's name where the system tells it.
fn name_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map(|name| crate::text::printable(name.trim_end().as_bytes(), &[]))
        .unwrap_or_default()
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

fn draw_levels(frame: &mut Frame<'_>, area: Rect, status: &Status) {
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
    let mut lines = vec![Line::from(format!(
        "status answered in p50 {:.0} µs, p99 {:.0} µs   q quits",
        micros(0.5),
        micros(0.99)
    ))];
    let problem = history
        .status
        .as_ref()
        .and_then(|s| s.leader.background_error.as_ref());
    if let Some(trouble) = history.trouble.as_ref().or(problem) {
        lines.push(Line::from(trouble.clone()).fg(Color::Red));
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}
