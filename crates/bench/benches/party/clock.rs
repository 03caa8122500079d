//! The one clock that all processes of a machine share; a round is far too short for its adjustments to matter.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds.
pub fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_nanos() as u64)
}

/// Sleeps until the clock says `moment`, or later.
pub fn sleep_until(moment: u64) {
    std::thread::sleep(Duration::from_nanos(moment.saturating_sub(clock())));
}
