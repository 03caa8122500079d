//! The libraries' `tracing` events on standard error: `-v`, or the variable `LEVEL_PARTY_LOG`.
//!
//! What it promises: without either nothing is shown and nothing costs anything; a directive that is not understood is an
//! error. What it must not know: which events there are (`docs/EVENTS.md`).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{Failure, Result};

/// Says what is shown where there is no `-v`.
const VARIABLE: &str = "LEVEL_PARTY_LOG";

static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Begins to show events, `verbose` being how often `-v` was given.
pub fn install(verbose: u8) -> Result<()> {
    let variable = std::env::var_os(VARIABLE).filter(|text| !text.is_empty());
    let directives = match (verbose, variable) {
        (0, None) => return Ok(()),
        (0, Some(text)) => text.to_string_lossy().into_owned(),
        (1, _) => "level_party=info".into(),
        _ => "level_party=debug".into(),
    };
    let filter: Targets = directives.parse().map_err(|_| {
        Failure::Usage(format!(
            "{VARIABLE}={directives}: it is not understood; give a level (warn, info, debug), or targets with levels, \
             such as level_party::tables=debug"
        ))
    })?;
    let has_colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(has_colours);
    let installed = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    installed.map_err(|error| Failure::Database(format!("events cannot be shown: {error}")))?;
    IS_SHOWN.store(true, Relaxed);
    Ok(())
}

/// Whether events may be written to standard error.
pub fn is_shown() -> bool {
    IS_SHOWN.load(Relaxed)
}
