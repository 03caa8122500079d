use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::*;

/// A party of `processes`, of which process 101 leads and the last one is this.
fn history(processes: u32) -> History {
    let members: Vec<_> = (101..101 + processes)
        .map(|pid| {
            json!({
                "pid": pid, "program": "/usr/bin/some-program", "attached_for_ms": 125_000,
                "pins": 2, "oldest_pin": 7, "oldest_pin_held_for_ms": 61_000,
            })
        })
        .collect();
    let dir = tempfile::tempdir().expect("a directory");
    let db = level_party::Db::open(dir.path()).expect("opened");
    let mut status = db.status().expect("a status");
    while status.recent_events.is_empty() {
        status = db.status().expect("a status");
    }
    (status.pid, status.queued_calls) = (100 + processes, 4);
    let leader = &mut status.leader;
    leader.leader_pid = 101;
    leader.epoch = 5;
    leader.leading_for = Duration::from_secs(9);
    leader.last_sequence = 1_234_567;
    leader.members = serde_json::from_value(members.into()).expect("members");
    leader.pins = u64::from(2 * processes);
    leader.oldest_pin_held_for = Some(Duration::from_secs(61));
    leader.files_per_level[0] = 2;
    leader.bytes_per_level[0] = 2048;
    leader.memtable_bytes = 1024;
    let mut history = History::new("data".into());
    let now = Instant::now();
    history.take(status, now, now);
    history
}

/// The rows of a screen of this size.
fn screen(columns: u16, rows: u16, history: &History) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a screen");
    terminal.draw(|frame| draw(frame, history)).expect("drawn");
    let cells = terminal.backend().buffer().content();
    let rows = cells.chunks(usize::from(columns));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect())
        .collect()
}

#[test]
fn eighty_columns_and_twenty_four_rows_hold_everything() {
    let shown = screen(80, 24, &history(3)).join("\n");
    for words in [
        "epoch 5 for 9 s   changes of leader seen 0   sequence 1,234,567 ",
        "snapshots 6, held for 1 min 1 s   in memory 1.0 KiB   calls waiting 4 ",
        " processes 3 ",
        "│♛ 101      leader   2 min 5 s  2, 1 min 1 s   some-program ",
        "│  103      follower 2 min 5 s  2, 1 min 1 s   some-program (this screen) ",
        " writes/s 0 ",
        "│L0    2        2.0 KiB ",
        "│L6 ",
        "q quits   status answered in p50 ",
        " ago: leading, epoch 1 ",
    ] {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
}

#[test]
fn what_does_not_fit_is_counted() {
    let shown = screen(80, 24, &history(30)).join("\n");
    assert!(shown.contains(" processes 30, 24 not shown "), "{shown}");
    assert!(
        shown.contains("│  106 ") && !shown.contains("│  107 "),
        "{shown}"
    );
}

#[test]
fn a_small_screen_tells_who_leads() {
    for (columns, rows) in [
        (60, 16),
        (45, 18),
        (59, 15),
        (40, 12),
        (34, 8),
        (20, 5),
        (5, 1),
    ] {
        let shown = screen(columns, rows, &history(3)).join("\n");
        assert!(shown.contains("♛ 101"), "{columns} by {rows}:\n{shown}");
    }
    screen(1, 1, &history(3));
    screen(80, 24, &History::new("data".into()));
}

#[test]
fn screen_names_what_was_lost() {
    let mut history = history(2);
    let leader = &mut history.status.as_mut().expect("a status").leader;
    leader.losses = vec!["26 bytes of 000005.log".into(), "more".into()];
    let words = "lost: 26 bytes of 000005.log; 1 more in `status`";
    for (columns, rows) in [(80, 24), (60, 12)] {
        let shown = screen(columns, rows, &history).join("\n");
        assert!(shown.contains(words), "{shown}");
    }
}
