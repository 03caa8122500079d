//! How an event loop is told that an operation can go on.
//!
//! Whoever wakes is a thread of the crate, which must not wait for the interpreter: while it does it commits nothing. So one
//! thread of this process tells the loops, with `call_soon_threadsafe`, all that came at once.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;
use std::thread;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A loop, and the future in it that an operation waits for.
struct Waiting {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
}

#[derive(Default)]
enum State {
    /// It was polled, and nobody waits yet.
    #[default]
    Polled,
    Woken,
    Waiting(Waiting),
}

/// The waker of one operation.
#[derive(Default)]
pub(super) struct LoopWaker {
    state: Mutex<State>,
}

impl LoopWaker {
    /// The operation is polled from here on.
    pub fn begin(&self) {
        *self.state.lock() = State::Polled;
    }

    /// The future that the loop is to wait for; `None`: it was woken meanwhile, and is to be polled again.
    pub fn wait<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let event_loop = running_loop(py)?;
        let future = event_loop.call_method0("create_future")?;
        let waiting = Waiting {
            event_loop: event_loop.unbind(),
            future: future.clone().unbind(),
        };
        let mut state = self.state.lock();
        if matches!(*state, State::Woken) {
            return Ok(None);
        }
        *state = State::Waiting(waiting);
        Ok(Some(future))
    }
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Woken);
        if let State::Waiting(waiting) = before {
            tell(waiting);
        }
    }
}

static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static GO_ON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    RUNNING.import(py, "asyncio", "get_running_loop")?.call0()
}

/// Hands it to the thread that tells the loops.
fn tell(waiting: Waiting) {
    static THREAD: Mutex<Option<(u32, Sender<Waiting>)>> = Mutex::new(None);
    let mut thread = THREAD.lock();
    let here = std::process::id();
    // A forked child has no such thread.
    if thread.as_ref().is_none_or(|(process, _)| *process != here) {
        let (sender, receiver) = channel();
        let started = thread::Builder::new()
            .name("level-party-asyncio".into())
            .spawn(move || tell_all(&receiver));
        if started.is_err() {
            // The system has no thread left: this one waits for the interpreter.
            return go_on(&[waiting]);
        }
        *thread = Some((here, sender));
    }
    if let Some((_, sender)) = &*thread {
        // The thread ends with its sender alone.
        let _ = sender.send(waiting);
    }
}

fn tell_all(receiver: &Receiver<Waiting>) {
    while let Ok(first) = receiver.recv() {
        let all: Vec<Waiting> = [first].into_iter().chain(receiver.try_iter()).collect();
        go_on(&all);
    }
}

fn go_on(all: &[Waiting]) {
    // Without an interpreter there is no loop that waits.
    let _ = Python::try_attach(|py| {
        let Ok(go_on) = GO_ON.import(py, "level_party._aio", "go_on") else {
            return;
        };
        for Waiting { event_loop, future } in all {
            let event_loop = event_loop.bind(py);
            // A loop that was closed waits for nothing any more.
            let _ = event_loop.call_method1("call_soon_threadsafe", (go_on, future));
        }
    });
}
