//! Writes: in order, one transaction of etcd at a time, each exactly once.
//!
//! What waits while a transaction is under way goes into the next one together ([`group`](super::group)); what becomes of each is
//! found by [`Maker`]. One task of the runtime makes groups. (Made by the thread that writes, on a connection of its own, a write
//! took as long: etcd's work outweighs the hand-over.)

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use level_party_locks::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::group::{Pending, next_group};
use super::history::Cluster;
use super::outcome::{Maker, State};
use super::runtime::{late, told_by, until};
use super::session::{Session, unknown};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::request::Write;

/// The writes of one process.
pub struct Writer {
    maker: Maker,
    runtime: Handle,
    queue: Mutex<Queue>,
    /// No transaction is under way any more.
    done: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Whether the task that makes groups is there. What it knows is here otherwise.
    working: bool,
    state: Option<State>,
    closed: bool,
}

impl Writer {
    pub fn new(cluster: Arc<Cluster>, runtime: Handle, fills: bool) -> Self {
        Writer {
            maker: Maker {
                cluster,
                runtime: runtime.clone(),
                fills,
            },
            runtime,
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
        self.push(pending)?;
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

    /// Has a write wait for its turn.
    fn push(self: &Arc<Self>, pending: Pending) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Error::closed());
        }
        queue.waiting.push_back(pending);
        if !queue.working {
            queue.working = true;
            let state = queue.state.take().unwrap_or_default();
            drop(queue);
            let writer = Arc::clone(self);
            self.runtime.spawn(async move { writer.work(state).await });
        }
        Ok(())
    }

    /// Makes group after group, until nothing waits.
    async fn work(&self, mut state: State) {
        loop {
            let group = {
                let mut queue = self.queue.lock();
                let group = next_group(&mut queue.waiting);
                if group.is_empty() {
                    queue.working = false;
                    queue.state = Some(state);
                    self.done.notify_one();
                    return;
                }
                group
            };
            self.maker.make(&mut state, group).await;
        }
    }
}
