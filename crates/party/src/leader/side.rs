//! A side connection at the leader: one piece of work for another process, on a connection and threads of its own.
//!
//! Invariants:
//! - Something is sent every [`HEARTBEAT`] at least, whatever the work does, so that the other process can tell a slow leader
//!   from one that has stopped.
//! - When the connection ends, from either side, the work ends soon after, and with it the connection's threads: one
//!   thread does the work, a second one does nothing but wait for the end.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use level_party_locks::Mutex;
use level_party_os::Stream;

use super::Leadership;
use crate::checkpoint::Staging;
use crate::error::{Error, Result};
use crate::protocol::{
    Checkpoint, Failure, HEARTBEAT, News, ServerMessage, Task, TaskResult, encode_frame,
};
use crate::stop::Stop;

/// A blocked write looks this often whether the connection has ended.
const SLICE: Duration = Duration::from_millis(100);

/// Serves one side connection until it ends. `number` is the leadership's.
pub(super) fn run(leadership: &Leadership, number: u64, stream: &Stream, task: Task) -> Result<()> {
    let context = |error| Error::io("the other process went", error);
    stream.set_read_timeout(None).map_err(context)?;
    stream.set_write_timeout(Some(SLICE)).map_err(context)?;
    let connection = SideConnection {
        stream,
        sending: Mutex::new(()),
        ended: AtomicBool::new(false),
    };
    if !leadership.member.may_answer() {
        return Ok(());
    }
    let begun = News::Begun {
        leadership: number,
        leader_pid: std::process::id(),
    };
    connection.tell(begun).map_err(context)?;
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .name("level-party-side".into())
            .spawn_scoped(threads, || connection.attend())
            .map_err(|error| Error::io("cannot start a thread", error))?;
        // Whatever happens here, the other thread ends too.
        let _end = EndReading(stream);
        work(&connection, leadership, task)
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

fn work(connection: &SideConnection<'_>, leadership: &Leadership, task: Task) -> Result<()> {
    let result = match task {
        Task::Yield => {
            let followed = leadership.give_way();
            Ok(connection.tell(News::Done(Ok(TaskResult::Yielding(followed)))))
        }
        Task::Checkpoint(copy) => checkpoint(connection, leadership, copy),
        task => leadership
            .perform(&task, &|| !connection.has_ended())
            .map(|outcome| connection.tell(News::Done(Ok(outcome)))),
    };
    let sent = match result {
        Ok(sent) => sent,
        Err(Stop::Failed(error)) => connection.tell(News::Done(Err(Failure::from(&error)))),
        // No answer of this leadership counts any more: the other process asks the next one.
        Err(Stop::Over | Stop::Unknown(_)) => Ok(()),
    };
    sent.map_err(|error| Error::io("the other process went", error))
}

/// Makes a copy, which the other process gives its name before it ends the connection. A copy without a name is then removed; but
/// where this process ends the connection, because it leaves, the other one may be about to name it.
fn checkpoint(
    connection: &SideConnection<'_>,
    leadership: &Leadership,
    copy: Checkpoint,
) -> std::result::Result<io::Result<()>, Stop> {
    let staging = Staging::new(&copy);
    let task = Task::Checkpoint(copy);
    let outcome = match leadership.perform(&task, &|| !connection.has_ended()) {
        Ok(outcome) => outcome,
        Err(stop) => {
            staging.discard();
            return Err(stop);
        }
    };
    let sent = connection.tell(News::Done(Ok(outcome)));
    if sent.is_ok() {
        // However it ends.
        let _ = connection.stream.wait_readable(None);
    }
    if !leadership.is_leaving() {
        staging.discard();
    }
    Ok(sent)
}

/// The leader's end of a side connection.
struct SideConnection<'a> {
    stream: &'a Stream,
    /// Held while a frame is sent.
    sending: Mutex<()>,
    ended: AtomicBool,
}

impl SideConnection<'_> {
    fn tell(&self, news: News) -> io::Result<()> {
        let mut frame = Vec::new();
        encode_frame(&ServerMessage::Side(news), &mut frame);
        let _sending = self.sending.lock();
        let mut sent = 0;
        while sent < frame.len() {
            match (&mut &*self.stream).write(&frame[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The other process reads nothing: that is its right, for as long as the connection stands.
                    if self.stream.wait_readable(Some(Duration::ZERO))? {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for the end of the connection, and says meanwhile that the work goes on. (Whoever asked has nothing more to
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
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
