//! Reads of tasks that would wait for the disk, made by a few threads of their own.
//!
//! Promises: a read that was given up before a thread began with it is not made; what a task waits for ends at its deadline,
//! whatever the disk does; a thread that had nothing to do for a while ends.
//! Must not know: what is read.

use std::pin::Pin;
use std::task::{Context, Poll};

use level_party_workers::{Made, Refused, Workers};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::place::Place;
use crate::timer::Alarm;

/// Threads at most: about the requests that a disk works on at once.
const MOST: usize = 16;

/// The threads of a node that read for its tasks.
pub(crate) struct Readers {
    workers: Workers,
    /// Reads that were given to the threads.
    #[cfg(test)]
    given: std::sync::atomic::AtomicUsize,
}

impl Default for Readers {
    fn default() -> Self {
        Readers {
            workers: Workers::new("level-party-reader", MOST),
            #[cfg(test)]
            given: std::sync::atomic::AtomicUsize::default(),
        }
    }
}

impl Readers {
    /// Has `read` made, for a task, by a thread that may wait for the disk.
    ///
    /// # Errors
    /// `Timeout`; `Closed`; the system has no thread left.
    pub async fn run<T: Send + 'static>(
        place: &Place,
        limits: &Limits,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let made = place.readers.workers.call(read).map_err(not_begun)?;
        #[cfg(test)]
        place
            .readers
            .given
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let in_time = InTime {
            made,
            place,
            limits,
            alarm: None,
        };
        in_time.await
    }

    /// How many reads were given to the threads.
    #[cfg(test)]
    pub fn given(&self) -> usize {
        self.given.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The node closes: the threads end after the reads they are at, and no other read is made.
    pub fn close(&self) {
        self.workers.close();
    }
}

/// A read that a thread makes, until its deadline.
struct InTime<'a, T> {
    made: Made<T>,
    place: &'a Place,
    limits: &'a Limits,
    alarm: Option<Alarm>,
}

impl<T> Future for InTime<'_, T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let read = self.get_mut();
        if let Poll::Ready(made) = Pin::new(&mut read.made).poll(context) {
            return Poll::Ready(made.ok_or_else(|| unmade(read.place)));
        }
        if read.limits.deadline <= std::time::Instant::now() {
            return Poll::Ready(Err(too_slow(read.limits)));
        }
        match &read.alarm {
            Some(alarm) => alarm.renew(context.waker()),
            None => {
                let timer = &read.place.timer;
                read.alarm = Some(timer.set(read.limits.deadline, context.waker())?);
            }
        }
        Poll::Pending
    }
}

fn not_begun(refused: Refused) -> Error {
    match refused {
        Refused::Closed => Error::closed(),
        Refused::NoThread(error) => Error::io("cannot start a thread", error),
    }
}

/// Why a read was not made.
fn unmade(place: &Place) -> Error {
    match place.is_closed() {
        true => Error::closed(),
        false => Error::new(ErrorKind::Io, "the thread that made this read panicked"),
    }
}

fn too_slow(limits: &Limits) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "the disk did not answer this read within {:?}",
            limits.timeout
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;

    fn limits(timeout: Duration) -> Limits {
        Limits {
            wait: crate::limits::Wait::Task,
            ..Limits::new(timeout, true)
        }
    }

    #[test]
    fn read_that_panics_is_io_and_one_after_closing_is_closed() {
        let place = Arc::new(Place::new());
        let limits = limits(Duration::from_secs(3600));
        let panics = || std::panic::resume_unwind(Box::new("a bug"));
        let made = pollster::block_on(Readers::run::<()>(&place, &limits, panics));
        assert_eq!(made.expect_err("it panicked").kind(), ErrorKind::Io);
        place.close();
        let after = pollster::block_on(Readers::run(&place, &limits, || ()));
        assert_eq!(after.expect_err("closed").kind(), ErrorKind::Closed);
    }

    #[test]
    fn read_of_a_disk_that_does_not_answer_ends_at_its_deadline() {
        let place = Place::new();
        let (answer, disk) = mpsc::channel::<()>();
        let slow = move || disk.recv();
        let limits = limits(Duration::from_millis(20));
        let read = Readers::run(&place, &limits, slow);
        let error = pollster::block_on(read).expect_err("the disk is silent");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        drop(answer);
        place.close();
    }
}
