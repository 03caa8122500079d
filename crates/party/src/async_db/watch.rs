//! Watches for tasks.
//!
//! A watch waits for commits, or for the database to be open again, in ways which block. So it has a thread of its own,
//! which hands over one item at a time. Invariants:
//! - The thread is at most one item ahead: what waits for a slow task is bounded as it is for a slow thread.
//! - The position that is told is that of the last item given, never of the one ahead.
//! - Dropping the watch ends it, and its thread soon after.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use level_party_locks::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::position::Position;
use crate::watch::{Watch, WatchCloser, WatchItem};

/// The committed changes of a range, for tasks; made by [`AsyncDb::watch`](crate::AsyncDb::watch) and its kin.
///
/// It is a [`Stream`] that waits for the next item, for ever, and can be walked without one: [`AsyncWatch::next`], of
/// which a call that is dropped loses no item. `Timeout` means that the directory could not be opened anew, where that had to
/// be, for the handle's timeout; the watch can be asked on. Any other error ends it. It keeps the database open, and ends with
/// `Closed` when [`AsyncDb::close`](crate::AsyncDb::close) closes that. It has a thread of its own. Dropped, it ends.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// use level_party::{WatchFrom, WatchItem};
/// let mut watch = db.watch("a".."m", WatchFrom::Now).await?;
/// db.put("b", "1").await?; // or any other process
/// let Some(WatchItem::Change(change)) = watch.next().await.transpose()? else { panic!("nothing is missing") };
/// assert_eq!(change.key, b"b");
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a stream does nothing unless polled"]
pub struct AsyncWatch {
    shared: Arc<Shared>,
    closer: WatchCloser,
    position: Position,
}

#[derive(Default)]
struct Shared {
    ahead: Mutex<Ahead>,
    taken: Condvar,
}

#[derive(Default)]
struct Ahead {
    /// What is given next, and the position after it.
    item: Option<(Result<WatchItem>, Position)>,
    waker: Option<Waker>,
    /// No item comes any more.
    over: bool,
    /// Nobody takes items any more.
    dropped: bool,
}

impl AsyncWatch {
    /// # Errors
    /// The system has no thread left.
    pub(super) fn new(watch: Watch) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let ours = AsyncWatch {
            shared: shared.clone(),
            closer: watch.closer(),
            position: watch.position(),
        };
        std::thread::Builder::new()
            .name("level-party-watch".into())
            .spawn(move || Over(shared).read(watch))
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(ours)
    }

    /// The next item. `None`: the watch has ended, and an error has said why.
    ///
    /// # Errors
    /// As an item of [`Watch`].
    pub async fn next(&mut self) -> Option<Result<WatchItem>> {
        std::future::poll_fn(|context| self.poll_item(context)).await
    }

    /// Up to where everything was given: a watch that begins after it goes on with the next item of this one.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What ends this watch from elsewhere.
    pub fn closer(&self) -> WatchCloser {
        self.closer.clone()
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<WatchItem>>> {
        let mut ahead = self.shared.ahead.lock();
        match ahead.item.take() {
            Some((item, position)) => {
                self.position = position;
                self.shared.taken.notify_one();
                Poll::Ready(Some(item))
            }
            None if ahead.over => Poll::Ready(None),
            None => {
                ahead.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The thread's end of it. However the thread ends, the watch does.
struct Over(Arc<Shared>);

impl Over {
    fn read(&self, mut watch: Watch) {
        while let Some(item) = watch.next() {
            let mut ahead = self.0.ahead.lock();
            if ahead.dropped {
                return;
            }
            ahead.item = Some((item, watch.position()));
            let waker = ahead.waker.take();
            drop(ahead);
            // Not under the lock: it is the task's own code.
            if let Some(waker) = waker {
                waker.wake();
            }
            let mut ahead = self.0.ahead.lock();
            while ahead.item.is_some() && !ahead.dropped {
                self.0.taken.wait(&mut ahead);
            }
        }
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let mut ahead = self.0.ahead.lock();
        ahead.over = true;
        let waker = ahead.waker.take();
        drop(ahead);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Stream for AsyncWatch {
    type Item = Result<WatchItem>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(context)
    }
}

impl Drop for AsyncWatch {
    fn drop(&mut self) {
        self.shared.ahead.lock().dropped = true;
        self.shared.taken.notify_one();
        self.closer.close();
    }
}

impl std::fmt::Debug for AsyncWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncWatch")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Prefix;
    use crate::db::Db;
    use crate::error::ErrorKind;
    use crate::watch::WatchFrom;

    #[test]
    fn tasks_watch_resumes_at_its_position_and_ends_on_close() {
        let dir = tempfile::tempdir().unwrap();
        let blocking = Db::open(dir.path()).unwrap();
        let db = blocking.to_async().sublevel("s").unwrap();
        pollster::block_on(async {
            let mut watch = db.watch("k".., WatchFrom::Now).await.unwrap();
            for n in 0..50 {
                db.put(format!("k{n:02}"), "v").await.unwrap();
            }
            let key = |item: Option<Result<WatchItem>>| match item.unwrap().unwrap() {
                WatchItem::Change(change) => String::from_utf8(change.key).unwrap(),
                gap => panic!("{gap:?}"),
            };
            for n in 0..20 {
                assert_eq!(key(watch.next().await), format!("k{n:02}"));
            }
            let position = watch.position();
            drop(watch);
            let mut watch = db.watch(Prefix("k"), position).await.unwrap();
            for n in 20..50 {
                assert_eq!(key(watch.next().await), format!("k{n:02}"));
            }
            drop(db);
            blocking.close().unwrap();
            let end = watch.next().await.unwrap().unwrap_err();
            assert_eq!(end.kind(), ErrorKind::Closed);
            assert!(watch.next().await.is_none());
        });
    }
}
