//! What is seen while the demo runs: on a terminal a line for each process, redrawn; elsewhere only what happens.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Stage;
use super::member::{Member, Role};
use crate::failure::{Failure, Result, say};
use crate::text::count;

/// Standard output, drawn upon. Each line fits into 80 columns.
pub struct Screen {
    start: Instant,
    /// Standard output is for programs: what happens is told on standard error.
    aside: bool,
    live: Option<Live>,
}

struct Live {
    multi: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Screen {
    /// Takes standard output.
    pub fn new(aside: bool) -> Self {
        let drawn = !aside && std::io::stdout().is_terminal();
        let live = drawn.then(|| Live {
            multi: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            lines: Vec::new(),
        });
        Screen {
            start: Instant::now(),
            aside,
            live,
        }
    }

    /// Prints a line that stays.
    pub fn say(&mut self, line: impl std::fmt::Display) -> Result<()> {
        match &self.live {
            Some(live) => live
                .multi
                .println(line.to_string())
                .map_err(Failure::output),
            None if self.aside => {
                say(line);
                Ok(())
            }
            None => {
                let mut stdout = std::io::stdout().lock();
                writeln!(stdout, "{line}")
                    .and_then(|()| stdout.flush())
                    .map_err(Failure::output)
            }
        }
    }

    /// Prints what happened, with the time.
    pub fn event(&mut self, what: impl std::fmt::Display) -> Result<()> {
        self.say(format_args!(
            "{:5.1} s  {what}",
            self.start.elapsed().as_secs_f64()
        ))
    }

    /// Draws how everybody is.
    pub fn draw(&mut self, stage: &Stage<'_>) -> Result<()> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        if live.lines.is_empty() {
            let style = ProgressStyle::with_template("{msg}").expect("the template is a constant");
            live.lines = (0..=stage.members.len())
                .map(|_| {
                    live.multi
                        .add(ProgressBar::new_spinner().with_style(style.clone()))
                })
                .collect();
        }
        let leader = stage.ledger.leader().map_or(0, |leader| leader.pid);
        for (line, member) in live.lines.iter().zip(&stage.members) {
            line.set_message(member_line(stage, member, leader));
        }
        if let Some(line) = live.lines.last() {
            let ledger = &stage.ledger;
            line.set_message(format!(
                "     {} writes acknowledged, {} reads, {} stale, {} errors",
                count(ledger.writes.load(SeqCst)),
                count(ledger.reads.load(SeqCst)),
                count(ledger.stale.load(SeqCst)),
                count(ledger.errors.load(SeqCst)),
            ));
        }
        Ok(())
    }

    /// Takes the drawn lines away.
    pub fn close(&mut self) {
        if let Some(live) = self.live.take() {
            for line in &live.lines {
                line.finish_and_clear();
            }
            // A terminal that is gone is found by the next line that is printed.
            let _ = live.multi.clear();
        }
    }
}

fn member_line(stage: &Stage<'_>, member: &Member, leader: u32) -> String {
    let pid = member.pid();
    let leads = if pid == leader && pid != 0 {
        "leads"
    } else {
        ""
    };
    let work = match member.role {
        Role::Writer(index) => format!("{} batches", count(stage.ledger.acked(index))),
        Role::Reader(_) => "checks that nothing read is stale".into(),
        Role::Stream => format!(
            "{} entries in order",
            count(stage.ledger.streamed.load(SeqCst))
        ),
        Role::Check => String::new(),
    };
    format!(
        "     {:<9} pid {pid:<8} {leads:<6} {work}",
        member.role.to_string()
    )
}
