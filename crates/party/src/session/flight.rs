//! The calls that a session has taken on and not ended yet, and who waits for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Condvar;

use super::Answered;
use crate::epoch::Epoch;
use crate::error::Result;

/// Who waits for an answer or for room.
pub(super) enum Caller {
    /// A thread, in this very moment or about to.
    Thread(Arc<Condvar>),
    Task(Waker),
}

thread_local! {
    static ASLEEP: Arc<Condvar> = Arc::new(Condvar::new());
}

impl Caller {
    /// The calling thread, and what it sleeps on. A thread makes one call at a time.
    pub fn this_thread() -> (Caller, Arc<Condvar>) {
        // A thread that ends has none any more.
        let condvar = ASLEEP.try_with(Arc::clone).unwrap_or_default();
        (Caller::Thread(condvar.clone()), condvar)
    }

    pub fn is_task(&self) -> bool {
        matches!(self, Caller::Task(_))
    }

    /// As [`Caller::wake`], for the last time.
    pub fn wake_last(self, wakes: &mut Vec<Waker>) {
        match self {
            Caller::Thread(_) => self.wake(wakes),
            Caller::Task(waker) => wakes.push(waker),
        }
    }

    /// Wakes a thread now, and a task once the lock is free: `wakes` is emptied by whoever lets it go.
    pub fn wake(&self, wakes: &mut Vec<Waker>) {
        match self {
            Caller::Thread(condvar) => {
                condvar.notify_one();
            }
            Caller::Task(waker) => wakes.push(waker.clone()),
        }
    }
}

/// What the calls that are not answered yet come to.
#[derive(Default)]
pub(super) struct Load {
    /// Calls without an answer, those included whose caller has gone.
    pub open: usize,
    /// Those of them for which the driver must look: a task waits, or a grant is owed to nobody.
    pub tasks: usize,
    /// What their frames and their keeping take in memory.
    pub bytes: usize,
}

/// One call.
pub(super) struct Call {
    /// The encoded message; empty once there is an answer.
    pub frame: Bytes,
    /// The write's number, if it is one.
    pub write: Option<u64>,
    /// It is a write that asks for `sync`.
    pub sync: bool,
    /// It is a write with conditions.
    pub conditional: bool,
    /// The leadership that may have seen it, the last if it was several. A write's page entry stands from then on, for it.
    pub begun: Option<Epoch>,
    /// Its answer may grant a pin.
    pub grants: bool,
    pub retry: bool,
    pub deadline: Instant,
    pub charge: usize,
    /// Whom to wake; `None` where there is nobody any more, and only the outcome is still owed.
    pub caller: Option<Caller>,
    pub answer: Option<Result<Answered>>,
    /// The leadership it was sent again to last, and how often.
    pub sent_again: Option<(Epoch, u32)>,
    /// Counted in [`Load::tasks`].
    pub driven: bool,
}

impl Call {
    /// A write's number and the leadership that its page entry is for, where it has one.
    pub fn entry(&self) -> Option<(u64, Epoch)> {
        self.write.zip(self.begun)
    }

    /// Whether it is neither answered nor given up by its caller.
    pub fn is_awaited(&self) -> bool {
        self.answer.is_none() && self.caller.is_some()
    }

    /// It has or needs no answer any more.
    pub fn end(&mut self, load: &mut Load) {
        load.open -= 1;
        load.bytes -= std::mem::take(&mut self.charge);
        load.tasks -= usize::from(std::mem::take(&mut self.driven));
        self.frame = Bytes::new();
    }

    /// Its caller has gone; the answer is still owed. With `by_driver` the driver looks for it.
    pub fn abandon(&mut self, load: &mut Load, by_driver: bool) {
        self.caller = None;
        load.tasks -= usize::from(self.driven);
        self.driven = by_driver;
        load.tasks += usize::from(self.driven);
    }
}

/// Numbers of writes that a leader may have seen and that are not decided, in their order, in which most are decided.
#[derive(Default)]
pub(super) struct Unfinished(VecDeque<u64>);

impl Unfinished {
    pub fn oldest(&self) -> Option<u64> {
        self.0.front().copied()
    }

    /// A write begins; numbers rise, so it is the last.
    pub fn insert(&mut self, number: u64) {
        debug_assert!(self.0.back().is_none_or(|last| *last < number));
        self.0.push_back(number);
    }

    /// It is decided, or never began.
    pub fn remove(&mut self, number: u64) {
        if let Ok(at) = self.0.binary_search(&number) {
            self.0.remove(at);
        }
    }
}

/// Calls by id. Ids are given out in order, and calls end nearly in that order.
pub(super) struct Calls {
    first: u64,
    slots: VecDeque<Option<Call>>,
}

impl Default for Calls {
    fn default() -> Self {
        Calls {
            first: 1,
            slots: VecDeque::new(),
        }
    }
}

impl Calls {
    /// The id that the next call gets.
    pub fn next_id(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    pub fn push(&mut self, call: Call) {
        self.slots.push_back(Some(call));
    }

    fn slot(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.first)?).ok()
    }

    pub fn get(&self, id: u64) -> Option<&Call> {
        self.slots.get(self.slot(id)?)?.as_ref()
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Call> {
        let slot = self.slot(id)?;
        self.slots.get_mut(slot)?.as_mut()
    }

    pub fn remove(&mut self, id: u64) -> Option<Call> {
        let slot = self.slot(id)?;
        let call = self.slots.get_mut(slot)?.take();
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        call
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Call)> {
        let ids = self.first..;
        ids.zip(&self.slots)
            .filter_map(|(id, slot)| Some((id, slot.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.slots.iter_mut().flatten()
    }
}
