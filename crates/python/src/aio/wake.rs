//! How an event loop is told that an operation can go on.
//!
//! Whoever wakes is a thread of the crate, which must not wait for the interpreter: while it does it commits nothing. So one
//! thread of this process tells the loops, with `call_soon_threadsafe`, all that came at once.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;
use std::thread;

use arc_swap::ArcSwapOption;
use level_party_locks::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::source::wait;

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

/// The thread of one process that tells the loops.
struct Teller {
    process: u32,
    queue: Sender<Waiting>,
    /// Held while it has the interpreter. True: the interpreter ends, and is not to be had any more.
    over: Arc<Mutex<bool>>,
}

/// This process's. A forked child makes its own, and never touches its parent's, which may have been in the middle of anything.
static TELLER: ArcSwapOption<Teller> = ArcSwapOption::const_empty();

/// This process's teller; `None`: the system has no thread left.
fn teller() -> Option<Arc<Teller>> {
    let process = std::process::id();
    loop {
        let found = TELLER.load_full();
        match found {
            Some(ours) if ours.process == process => return Some(ours),
            other => {
                let (queue, waiting) = channel();
                let over = Arc::new(Mutex::new(false));
                let theirs = over.clone();
                thread::Builder::new()
                    .name("level-party-asyncio".into())
                    .spawn(move || tell_all(&waiting, &theirs))
                    .ok()?;
                let new = Arc::new(Teller {
                    process,
                    queue,
                    over,
                });
                // Where another thread was faster, the thread of this one ends with its queue.
                TELLER.compare_and_swap(&other, Some(new));
                std::mem::forget(other);
            }
        }
    }
}

/// Hands it to the thread that tells the loops.
fn tell(waiting: Waiting) {
    match teller() {
        // Its thread ends with its queue alone.
        Some(teller) => drop(teller.queue.send(waiting)),
        // This thread has to wait for the interpreter.
        None => go_on(&[waiting]),
    }
}

fn tell_all(queue: &Receiver<Waiting>, over: &Mutex<bool>) {
    while let Ok(first) = queue.recv() {
        let all: Vec<Waiting> = [first].into_iter().chain(queue.try_iter()).collect();
        let over = over.lock();
        if !*over {
            go_on(&all);
        }
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

/// The interpreter ends: no thread of this package has it from here on. A thread that had it then would end the process.
#[pyfunction]
pub(crate) fn _at_exit(py: Python<'_>) {
    let Some(teller) = TELLER.load_full() else {
        return;
    };
    if teller.process == std::process::id() {
        wait(py, || *teller.over.lock() = true);
    }
}
