//! A side connection at the leader: one piece of long-lived work for a follower, on a connection and threads of its own,
//! so that the follower's calls do not wait behind it.
//!
//! Invariants:
//! - Something is sent every [`HEARTBEAT`] at least, whatever the work does, so that the follower can tell a slow leader
//!   from one that has stopped.
//! - When the connection ends, from either side, the work ends soon after, and with it the connection's threads: one
//!   thread does the work, a second one does nothing but wait for the end.
//! - The follower's main connection, its session and its pins know nothing of this one.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use level_party_engine::TailWaker;
use level_party_os::Stream;
use parking_lot::Mutex;
use serde_bytes::Bytes;

use super::GATHERING;
use super::feed::{Feed, Told};
use super::server::{Attendance, Serving, Shared};
use super::service::{Service, Stop};
use crate::checkpoint::Staging;
use crate::error::{Error, Result};
use crate::protocol::{
    Checkpoint, Failure, HEARTBEAT, News, Outcome, Piece, ServerMessage, Side, Task, encode_frame,
};
use crate::state::StateFile;

/// A blocked write looks this often whether the connection has ended.
const SLICE: Duration = Duration::from_millis(100);

/// Serves one side connection until it ends.
pub(super) fn run(shared: &Shared, stream: &Stream, side: Side) -> Result<()> {
    let context = |error| Error::io("the follower went", error);
    stream.set_read_timeout(None).map_err(context)?;
    stream.set_write_timeout(Some(SLICE)).map_err(context)?;
    let line = Line {
        stream,
        sending: Mutex::new(()),
        ended: AtomicBool::new(false),
        wakes: Mutex::new(None),
    };
    let Serving { service, state, .. } = loop {
        match shared.attend(HEARTBEAT) {
            Attendance::Ready(serving) => break serving,
            Attendance::Leaving => return Ok(()),
            Attendance::NotYet => line.send(&ServerMessage::Recovering).map_err(context)?,
        }
    };
    if !service.may_answer() {
        return Ok(());
    }
    let begun = News::Begun {
        epoch: service.epoch(),
        leader_pid: std::process::id(),
    };
    line.tell(begun).map_err(context)?;
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .name("level-party-side".into())
            .spawn_scoped(threads, || line.attend())
            .map_err(|error| Error::io("cannot start a thread", error))?;
        // Whatever happens here, the other thread ends too.
        let _end = EndReading(stream);
        work(&line, shared, &service, &state, side.task)
    })
}

/// Ends the reading of a connection when dropped: who waits for its end wakes.
struct EndReading<'a>(&'a Stream);

impl Drop for EndReading<'_> {
    fn drop(&mut self) {
        // Where it ended already there is nothing to do.
        let _ = self.0.shutdown_read();
    }
}

fn work(
    line: &Line<'_>,
    shared: &Shared,
    service: &Service,
    state: &StateFile,
    task: Task,
) -> Result<()> {
    let result = match task {
        Task::Watch { from, lower, upper } => {
            let feed = Feed::start(service, state, from, lower, upper);
            feed.and_then(|feed| watch(line, service, feed))
        }
        Task::Yield => {
            let followed = shared.has_successor(service.since() + GATHERING);
            let sent = line.tell(News::Done(Ok(Outcome::Yielding(followed))));
            if followed {
                service.give_way();
            }
            Ok(sent)
        }
        Task::Checkpoint(copy) => checkpoint(line, service, copy),
        task => service
            .perform(&task, &|| !line.has_ended())
            .and_then(|outcome| match service.may_answer() {
                true => Ok(line.tell(News::Done(Ok(outcome)))),
                false => Err(Stop::Over),
            }),
    };
    let sent = match result {
        Ok(sent) => sent,
        Err(Stop::Failed(error)) => line.tell(News::Done(Err(Failure::from(&error)))),
        // No answer of this leadership counts any more: the follower asks the next one.
        Err(Stop::Over) => Ok(()),
        Err(Stop::Unknown(_)) => {
            service.end();
            Ok(())
        }
    };
    sent.map_err(|error| Error::io("the follower went", error))
}

/// Makes a copy, which the follower gives its name before it ends the connection. What has no name then is removed; but
/// where this process ends the connection, because it leaves, the follower may be about to name it.
fn checkpoint(
    line: &Line<'_>,
    service: &Service,
    copy: Checkpoint,
) -> std::result::Result<io::Result<()>, Stop> {
    let staging = Staging::new(&copy);
    let task = Task::Checkpoint(copy);
    let outcome = service.perform(&task, &|| !line.has_ended())?;
    if !service.may_answer() {
        staging.discard();
        return Err(Stop::Over);
    }
    let sent = line.tell(News::Done(Ok(outcome)));
    if sent.is_ok() {
        // However it ends.
        let _ = line.stream.wait_readable(None);
    }
    if !service.is_leaving() {
        staging.discard();
    }
    Ok(sent)
}

/// Tells of changes until the connection or the leadership ends. A leader that leaves tells first what it has committed.
fn watch(
    line: &Line<'_>,
    service: &Service,
    mut feed: Feed,
) -> std::result::Result<io::Result<()>, Stop> {
    line.wakes(feed.waker());
    let mut told = feed.first();
    loop {
        if !service.may_answer() {
            return Err(Stop::Over);
        }
        let piece = Piece {
            gap: told.gap,
            through: told.through,
            packed: Bytes::new(told.changes.packed()),
        };
        if let Err(error) = line.tell(News::Changes(piece)) {
            return Ok(Err(error));
        }
        let ending = line.has_ended();
        let until = match ending {
            true => Instant::now(),
            false => Instant::now() + HEARTBEAT,
        };
        told = match feed.next(until)? {
            Some(told) => told,
            None if ending => return Ok(Ok(())),
            // Nothing changed in the range: the follower's position goes on all the same.
            None => Told::progress(feed.through()),
        };
    }
}

/// The leader's end of a side connection.
struct Line<'a> {
    stream: &'a Stream,
    /// Held while a frame is sent.
    sending: Mutex<()>,
    ended: AtomicBool,
    /// Who waits for something else than this connection.
    wakes: Mutex<Option<TailWaker>>,
}

impl Line<'_> {
    fn tell(&self, news: News<'_>) -> io::Result<()> {
        self.send(&ServerMessage::Side(news))
    }

    fn send(&self, message: &ServerMessage<'_>) -> io::Result<()> {
        let mut frame = Vec::new();
        encode_frame(message, &mut frame);
        let _sending = self.sending.lock();
        let mut sent = 0;
        while sent < frame.len() {
            match (&mut &*self.stream).write(&frame[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The follower reads nothing: that is its right, for as long as the connection stands.
                    if self.stream.wait_readable(Some(Duration::ZERO))? {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for the end of the connection, and says meanwhile that the work goes on. (A follower has nothing more to
    /// say: whatever it sends ends the work.)
    fn attend(&self) {
        while let Ok(false) = self.stream.wait_readable(Some(HEARTBEAT)) {
            // A frame that is on its way, or waits for its reader, says as much.
            if let Some(sending) = self.sending.try_lock() {
                drop(sending);
                if self.tell(News::Working).is_err() {
                    break;
                }
            }
        }
        self.ended.store(true, Ordering::Release);
        if let Some(waker) = &*self.wakes.lock() {
            waker.wake();
        }
    }

    fn wakes(&self, waker: TailWaker) {
        *self.wakes.lock() = Some(waker.clone());
        if self.has_ended() {
            waker.wake();
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
