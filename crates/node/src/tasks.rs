//! Futures on the loop's thread.
//!
//! A future is polled once when it comes; mostly it is done then. One that is not gets a *ticket*, and is polled again when it
//! was woken. So the order of first polls, and of writes, is the order of calls.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::answer::Answer;
use crate::border::{Loop, Waking};
use crate::fault::Fault;

/// What became of a future.
pub type Made = Result<Answer, Fault>;

type Future = Pin<Box<dyn std::future::Future<Output = Made>>>;

/// Futures that are not done.
pub struct Tasks {
    slots: RefCell<Slots>,
    of_loop: Loop,
    /// How many of them keep the loop alive.
    holding: Cell<usize>,
}

#[derive(Default)]
struct Slots {
    entries: Vec<Option<Task>>,
    free: Vec<u32>,
    /// The waker for the next slot, if it was made already.
    spare: Option<(u32, Waker)>,
}

struct Task {
    future: Future,
    holds: bool,
    waker: Waker,
}

impl Tasks {
    pub fn new(of_loop: Loop) -> Self {
        Tasks {
            slots: RefCell::default(),
            of_loop,
            holding: Cell::new(0),
        }
    }

    pub fn of_loop(&self) -> &Loop {
        &self.of_loop
    }

    /// Polls `future`, and gives what it is done with, or a ticket. The loop stays alive until it is done.
    pub fn start(&self, future: impl std::future::Future<Output = Made> + 'static) -> Made {
        self.begin(Box::pin(future), true)
    }

    /// The same, but for a loop that has nothing else to do it is no reason to stay alive.
    pub fn start_idle(&self, future: impl std::future::Future<Output = Made> + 'static) -> Made {
        self.begin(Box::pin(future), false)
    }

    fn begin(&self, mut future: Future, holds: bool) -> Made {
        let (ticket, waker) = self.next_slot();
        if let Poll::Ready(made) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.slots.borrow_mut().spare = Some((ticket, waker));
            return made;
        }
        let mut slots = self.slots.borrow_mut();
        if slots.free.pop().is_none() {
            slots.entries.push(None);
        }
        slots.entries[ticket as usize] = Some(Task {
            future,
            holds,
            waker,
        });
        drop(slots);
        if holds {
            self.count(1);
        }
        Ok(Answer::Ticket(ticket))
    }

    /// The slot that a future gets if it is not done, and its waker. Nothing else begins while it is polled.
    fn next_slot(&self) -> (u32, Waker) {
        let mut slots = self.slots.borrow_mut();
        let next = slots.free.last().copied();
        let next = next.unwrap_or(slots.entries.len() as u32);
        match slots.spare.take() {
            Some((slot, waker)) if slot == next => (slot, waker),
            _ => {
                let bell = Arc::clone(&self.of_loop.bell);
                (next, Waker::from(Arc::new(Waking { task: next, bell })))
            }
        }
    }

    /// Polls those that were woken; gives for each that is done its ticket, whether it succeeded, and its value or error.
    pub fn drain(&self) -> Answer {
        let mut done = Vec::new();
        let mut woken = self.of_loop.bell.take_woken();
        woken.sort_unstable();
        woken.dedup();
        for ticket in woken {
            // Of a task that is done its waker may still wake.
            let Some(mut task) = self.take(ticket) else {
                continue;
            };
            let mut context = Context::from_waker(&task.waker);
            match task.future.as_mut().poll(&mut context) {
                Poll::Pending => self.slots.borrow_mut().entries[ticket as usize] = Some(task),
                Poll::Ready(made) => {
                    self.slots.borrow_mut().free.push(ticket);
                    if task.holds {
                        self.count(-1);
                    }
                    let (ok, value) = match made {
                        Ok(answer) => (true, answer),
                        Err(fault) => (false, Answer::Fault(fault)),
                    };
                    done.extend([Answer::Ticket(ticket), Answer::Flag(ok), value]);
                }
            }
        }
        Answer::List(done)
    }

    fn take(&self, ticket: u32) -> Option<Task> {
        self.slots
            .borrow_mut()
            .entries
            .get_mut(ticket as usize)?
            .take()
    }

    fn count(&self, change: isize) {
        let before = self.holding.get();
        let now = before.wrapping_add_signed(change);
        self.holding.set(now);
        match (before, now) {
            (0, _) => self.of_loop.hold(),
            (_, 0) => self.of_loop.release(),
            _ => {}
        }
    }

    /// Gives up all of them.
    pub fn clear(&self) {
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        drop(slots);
        self.holding.set(0);
    }
}

/// Waits for `future` on this thread: for calls that JavaScript expects to be answered when they return.
pub fn wait_for<T>(future: impl std::future::Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(made) => return made,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Lets the loop do what else there is, and goes on after that.
pub async fn breathe() {
    let mut is_first = true;
    std::future::poll_fn(|context| match std::mem::take(&mut is_first) {
        true => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
    .await;
}
