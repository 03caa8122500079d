//! Events for tasks: the queue of [`Events`] with a task that is woken.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::events::{Event, Events};

/// What happens to this process's part in the party, for tasks; made by
/// [`AsyncDb::events`](crate::AsyncDb::events).
///
/// It is a [`Stream`] that waits for the next event, and ends when the handle it was made from is closed or dropped. It
/// can be walked without one: [`AsyncEvents::next`], of which a call that is dropped loses no event.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// use level_party::Event;
/// let mut events = db.events()?;
/// db.close().await?;
/// while let Some(event) = events.next().await {
///     // The election may be told before it.
///     assert!(matches!(event, Event::Elected { .. } | Event::SteppedDown { .. }));
/// }
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a stream does nothing unless polled"]
pub struct AsyncEvents {
    events: Events,
}

impl AsyncEvents {
    pub(super) fn new(events: Events) -> Self {
        AsyncEvents { events }
    }

    /// The next event. `None`: none comes any more.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.events.poll_recv(context)).await
    }

    /// The next event, if it has come already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_next()
    }
}

impl Stream for AsyncEvents {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().events.poll_recv(context)
    }
}
