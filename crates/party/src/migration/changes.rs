//! The changes of the source, followed by a thread: the source keeps but so many of them for a watch that is behind.
//!
//! Promises: every change after the position at which it began is given once, in order, or a gap is given in its place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use level_party_locks::{Condvar, Mutex};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::watch::{Change, Watch, WatchCloser, WatchFrom, WatchItem};

/// Bytes of changes that wait; while there are more the thread reads none.
const MAX_WAITING: usize = 64 << 20;
/// Bytes that a change takes beside key and value.
const OVERHEAD: usize = 96;
/// How often the position is looked at where nothing changes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The changes of a database from a position on.
pub(super) struct Changes {
    shared: Arc<Shared>,
    closer: WatchCloser,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Changes are missing before the first of `changes`.
    gap: bool,
    /// Up to where everything has come.
    position: Option<Position>,
    /// The position that was given last.
    given: Option<Position>,
    error: Option<Error>,
    closed: bool,
}

/// What came.
pub(super) struct Came {
    /// Changes are missing before these.
    pub gap: bool,
    pub changes: VecDeque<Change>,
    /// Up to where this is everything.
    pub position: Position,
}

impl Changes {
    pub fn follow(source: &Db, from: WatchFrom) -> Result<Changes> {
        let watch = source.watch(.., from)?;
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                position: Some(watch.position()),
                ..Waiting::default()
            }),
            changed: Condvar::default(),
        });
        let closer = watch.closer();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("level-party-copy".to_owned())
            .spawn(move || theirs.run(watch))
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(Changes {
            shared,
            closer,
            thread: Some(thread),
        })
    }

    /// What came by now, waiting up to `limit` for some, or for the position to go on.
    ///
    /// # Errors
    /// What ended the watch.
    pub fn take(&self, limit: Duration) -> Result<Came> {
        let mut waiting = self.shared.waiting.lock();
        let is_empty = |waiting: &mut Waiting| {
            waiting.changes.is_empty()
                && !waiting.gap
                && waiting.error.is_none()
                && waiting.position == waiting.given
        };
        self.shared
            .changed
            .wait_while_for(&mut waiting, is_empty, limit);
        if let (true, Some(error)) = (waiting.changes.is_empty(), &waiting.error) {
            return Err(error.clone());
        }
        let position = waiting.position.unwrap_or(Position::from(0));
        waiting.bytes = 0;
        waiting.given = waiting.position;
        let came = Came {
            gap: std::mem::take(&mut waiting.gap),
            changes: std::mem::take(&mut waiting.changes),
            position,
        };
        drop(waiting);
        self.shared.changed.notify_all();
        Ok(came)
    }
}

impl Shared {
    fn run(&self, mut watch: Watch) {
        loop {
            let item = watch.next_timeout(BETWEEN_LOOKS);
            let mut waiting = self.waiting.lock();
            match item {
                Ok(Some(WatchItem::Change(change))) => {
                    let value = change.value.as_ref().map_or(0, Vec::len);
                    waiting.bytes += change.key.len() + value + OVERHEAD;
                    waiting.changes.push_back(change);
                }
                Ok(Some(WatchItem::Gap { .. })) => {
                    // What came before it is made good by whoever makes good the gap.
                    waiting.changes.clear();
                    waiting.bytes = 0;
                    waiting.gap = true;
                }
                Ok(None) => {}
                Err(error) => {
                    waiting.error = Some(error);
                    waiting.closed = true;
                }
            }
            waiting.position = Some(watch.position());
            self.changed.notify_all();
            let is_full = |waiting: &mut Waiting| waiting.bytes > MAX_WAITING && !waiting.closed;
            self.changed.wait_while(&mut waiting, is_full);
            if waiting.closed {
                return;
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.shared.waiting.lock().closed = true;
        self.shared.changed.notify_all();
        self.closer.close();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; what it read is not wanted any more.
            let _ = thread.join();
        }
    }
}
