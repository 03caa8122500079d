//! Writes: in order, one transaction of etcd at a time, each exactly once.
//!
//! What waits while a transaction is under way goes into the next one together ([`group`](super::group)); what becomes of each is
//! found by [`Maker`]. At each moment one thread or task makes groups, and has what must be known for it. A thread that finds
//! nobody at it makes its own write by a line, and hands on what came meanwhile to a task: so it works for nobody but itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use level_party_locks::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::group::{Pending, next_group};
use super::history::Cluster;
use super::lines::{Lent, Lines};
use super::outcome::{Maker, Renewals, State};
use super::runtime::{late, told_by, until};
use super::session::{Session, unknown};
use crate::call::{Call, Wait};
use crate::error::{Error, Result};
use crate::request::Write;

/// The writes of one process.
pub struct Writer {
    maker: Maker,
    runtime: Handle,
    lines: Arc<Lines>,
    queue: Mutex<Queue>,
    /// No transaction is under way any more.
    done: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Whether somebody makes groups. What it knows is here otherwise.
    working: bool,
    state: Option<State>,
    closed: bool,
}

impl Writer {
    pub fn new(cluster: Arc<Cluster>, runtime: Handle, lines: Arc<Lines>, fills: bool) -> Self {
        Writer {
            maker: Maker {
                renewals: Renewals {
                    runtime: runtime.clone(),
                    cluster: Arc::clone(&cluster),
                },
                cluster,
                fills,
            },
            runtime,
            lines,
            queue: Mutex::default(),
            done: Notify::new(),
        }
    }

    fn cluster(&self) -> &Cluster {
        &self.maker.cluster
    }

    /// Makes a write.
    pub async fn write(self: &Arc<Self>, call: Call, write: Write) -> Result<Option<u64>> {
        let (tell, told) = oneshot::channel();
        let pending = Pending::new(&self.cluster().layout, write, call.deadline, tell)?;
        let (ticket, late_ticket) = (pending.ticket(), pending.ticket());
        if let Some((state, pending)) = self.push(pending)? {
            let line = match call.wait {
                Wait::Thread => self.lines.lend(self.cluster()),
                Wait::Task => None,
            };
            match line {
                Some(line) => self.make_own(line, state, pending),
                None => {
                    self.queue.lock().waiting.push_front(pending);
                    self.spawn_work(state);
                }
            }
        }
        let give_up = move || late_ticket.take_back();
        match told_by(&self.runtime, call, told, give_up).await {
            Some(answer) => answer,
            None if ticket.take_back() => Err(late("the writes before it took until then")),
            None => {
                let trouble = self.cluster().client.trouble();
                let why = trouble.map_or_else(
                    || "etcd has not answered".to_owned(),
                    |trouble| trouble.what,
                );
                Err(unknown(why))
            }
        }
    }

    /// Later writes, and those that were not sent, end with `Closed`.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for pending in waiting {
            pending.answer(Err(Error::closed()));
        }
    }

    /// Once closed: waits for what is under way, and ends the session, so that etcd forgets this process. Where that is not
    /// done by the deadline, the session's lease ends by itself.
    pub async fn leave(&self, deadline: Instant) -> Result<()> {
        loop {
            let done = self.done.notified();
            let idle = {
                let queue = self.queue.lock();
                let session = queue
                    .state
                    .as_ref()
                    .and_then(|state| state.session.as_ref());
                (!queue.working).then(|| session.map(Session::lease))
            };
            match idle {
                Some(Some(lease)) => return Session::end(lease, self.cluster(), deadline).await,
                Some(None) => return Ok(()),
                None => until(deadline, done)
                    .await
                    .map_err(|_| late("a write is under way"))?,
            }
        }
    }

    /// Has a write wait for its turn. If that has come, it is given back, with what whoever makes it must know.
    fn push(&self, pending: Pending) -> Result<Option<(State, Pending)>> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Error::closed());
        }
        if queue.working {
            queue.waiting.push_back(pending);
            return Ok(None);
        }
        queue.working = true;
        Ok(Some((queue.state.take().unwrap_or_default(), pending)))
    }

    /// Makes a thread's write whose turn has come.
    fn make_own(self: &Arc<Self>, line: Lent<'_>, mut state: State, pending: Pending) {
        pending.begin();
        let maker = |cluster| Maker {
            cluster,
            ..self.maker.clone()
        };
        let known = &mut state;
        // The write is told what became of it.
        let _ = line.call(|cluster| async move { maker(cluster).make(known, vec![pending]).await });
        let mut queue = self.queue.lock();
        match queue.waiting.is_empty() {
            true => self.stop_working(&mut queue, state),
            false => {
                drop(queue);
                self.spawn_work(state);
            }
        }
    }

    fn spawn_work(self: &Arc<Self>, state: State) {
        let writer = Arc::clone(self);
        self.runtime.spawn(async move { writer.work(state).await });
    }

    /// Makes group after group, until nothing waits.
    async fn work(&self, mut state: State) {
        loop {
            let group = {
                let mut queue = self.queue.lock();
                let group = next_group(&mut queue.waiting);
                if group.is_empty() {
                    return self.stop_working(&mut queue, state);
                }
                group
            };
            // Each of its writes is told.
            let _ = self.maker.make(&mut state, group).await;
        }
    }

    fn stop_working(&self, queue: &mut Queue, state: State) {
        queue.working = false;
        queue.state = Some(state);
        self.done.notify_one();
    }
}
