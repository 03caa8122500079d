//! Connections for reads of threads: each is driven by the thread that has it, so that a read costs no hand-over between threads.
//!
//! A *line* has a small runtime of its own, which runs while a call is made. Between calls nobody runs it: that the server has ended
//! a connection is seen when the next call begins, and keep-alives are the system's. There are at most [`MOST`]; where all are in use, or
//! the thread runs somebody's tokio, the call is made as a task's is. A line whose call failed is never used again.
//! Must not know: what is asked.

use std::sync::Arc;

use level_party_locks::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use super::history::Cluster;
use crate::error::Result;

/// Lines of a process at most.
const MOST: usize = 8;

/// The lines of a process.
#[derive(Default)]
pub struct Lines(Mutex<State>);

#[derive(Default)]
struct State {
    idle: Vec<Line>,
    /// Idle or in use.
    count: usize,
    closed: bool,
}

/// A line that a call has alone.
pub struct Lent<'a> {
    lines: &'a Lines,
    /// `None`: it is not to be used again.
    line: Option<Line>,
}

struct Line {
    cluster: Arc<Cluster>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // Waits for nothing; in a task's thread another end of it would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Line {
    /// `None`: the system has no descriptors left.
    fn new(cluster: &Cluster) -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let within = runtime.enter();
        let cluster = Arc::new(cluster.with_own_connections());
        drop(within);
        Some(Line {
            cluster,
            runtime: Some(runtime),
        })
    }
}

impl Lines {
    /// A line for a call of this thread; `None`: it is made as a task's is.
    pub fn lend(&self, cluster: &Cluster) -> Option<Lent<'_>> {
        if Handle::try_current().is_ok() {
            return None;
        }
        let mut state = self.0.lock();
        let idle = match state.idle.pop() {
            None if state.closed || state.count == MOST => return None,
            None => {
                state.count += 1;
                None
            }
            idle => idle,
        };
        drop(state);
        let mut lent = Lent {
            lines: self,
            line: idle,
        };
        if lent.line.is_none() {
            lent.line = Line::new(cluster);
        }
        lent.line.is_some().then_some(lent)
    }

    /// Those that are not in use end now, the others with their calls.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.count -= state.idle.len();
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }

    /// In a forked child: they are the parent's, and closing one here would change what the parent waits for.
    pub fn leave_to_parent(&self) {
        std::mem::take(&mut self.0.lock().idle)
            .into_iter()
            .for_each(std::mem::forget);
    }
}

impl Lent<'_> {
    /// Makes a call.
    pub fn call<T, F>(mut self, make: impl FnOnce(Arc<Cluster>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        // Only what is given back below is used again.
        let line = self.line.take().expect("it was lent just now");
        let runtime = line
            .runtime
            .as_ref()
            .expect("it is there until it is dropped");
        let cluster = Arc::clone(&line.cluster);
        let made = runtime.block_on(async {
            see_what_came().await;
            make(cluster).await
        });
        if made.is_ok() {
            self.line = Some(line);
        }
        made
    }
}

/// Has the connections' tasks see what came while nobody ran them: with the first yield the system is asked for it, with the second
/// they run.
async fn see_what_came() {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let line = self.line.take();
        let mut state = self.lines.0.lock();
        match line {
            Some(line) if !state.closed => state.idle.push(line),
            unused => {
                state.count -= 1;
                drop(state);
                drop(unused);
            }
        }
    }
}
