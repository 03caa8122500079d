//! `top`: the party on a screen that is drawn anew, until `q`.
//!
//! What it is: a member of the party that asks for the status several times a second. Writes a second are the growth of the
//! sequence number; the latency is that of the question itself.

mod history;
mod screen;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};

use crate::args::{Target, seconds};
use crate::failure::{Failure, Result};
use crate::log;
use crate::stop;
use history::History;

/// How long it takes at most until a signal is heeded.
const LOOK: Duration = Duration::from_millis(100);

/// Show who leads, who follows, how fast and how large the database is, until `q`.
///
/// It joins the processes that have the database open and never leads, so that quitting it costs them nothing. If no process has the database open it says so and ends; with `--lead auto` it opens the database itself.
#[derive(Args, Debug)]
#[command(mut_arg("lead", |arg| arg.default_value("join")))]
pub struct Top {
    #[command(flatten)]
    target: Target,

    /// Ask so often, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    every: Duration,
}

impl Top {
    /// Draws until it is told to stop.
    pub fn run(self) -> Result<()> {
        if !std::io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "`top` needs a terminal; `status --json` is for programs".into(),
            ));
        }
        if log::is_shown() && std::io::stderr().is_terminal() {
            return Err(Failure::Usage(
                "the events that -v or LEVEL_PARTY_LOG shows would be written over the screen; add 2>FILE".into(),
            ));
        }
        let db = self.target.open_for_screen()?;
        stop::instead(|| {
            // Where the terminal has gone, what waits for its keys looks at the end of them again and again.
            if !std::io::stdout().is_terminal() {
                stop::leave();
                std::process::exit(0);
            }
        });
        let mut history = History::new(self.target.shown());
        let mut terminal = ratatui::try_init().map_err(Failure::output)?;
        let shown = self.show(&db, &mut history, &mut terminal);
        ratatui::restore();
        shown
    }

    fn show(
        &self,
        db: &level_party::Db,
        history: &mut History,
        terminal: &mut ratatui::DefaultTerminal,
    ) -> Result<()> {
        let mut due = Instant::now();
        while !stop::asked() {
            if Instant::now() >= due {
                let asked = Instant::now();
                match db.status() {
                    Ok(status) => history.take(status, asked, Instant::now()),
                    Err(error) if stop::asked() => return Err(error.into()),
                    Err(error) => history.fail(error.to_string()),
                }
                due = asked + self.every;
                terminal
                    .draw(|frame| screen::draw(frame, history))
                    .map_err(Failure::output)?;
            }
            let wait = due.saturating_duration_since(Instant::now()).min(LOOK);
            if !event::poll(wait).map_err(Failure::output)? {
                continue;
            }
            match event::read().map_err(Failure::output)? {
                Event::Key(key) => {
                    if let Some(end) = end_by(key.code, key.modifiers) {
                        return end;
                    }
                }
                Event::Resize(..) => {
                    terminal
                        .draw(|frame| screen::draw(frame, history))
                        .map_err(Failure::output)?;
                }
                _ => {}
            }
        }
        Err(Failure::Interrupted)
    }
}

/// How a key ends the program, if it does.
fn end_by(code: KeyCode, modifiers: KeyModifiers) -> Option<Result<()>> {
    match code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Ok(())),
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Err(Failure::Interrupted))
        }
        _ => None,
    }
}
