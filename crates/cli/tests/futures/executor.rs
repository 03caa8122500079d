//! An executor as small as can be, so that nothing of a runtime is relied on: threads that take woken tasks from one
//! queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Parked(Thread, AtomicBool);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Polls on this thread until it is done.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let parked = Arc::new(Parked(std::thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(parked.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !parked.1.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    work: Mutex<Option<Work>>,
    queue: Mutex<Sender<Arc<Task>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Without threads any more there is nobody to run it.
        let _ = self.queue.lock().unwrap().send(self.clone());
    }
}

pub struct Executor {
    queue: Sender<Arc<Task>>,
}

impl Executor {
    pub fn new(threads: usize) -> Self {
        let (queue, woken) = channel();
        let woken: Arc<Mutex<Receiver<Arc<Task>>>> = Arc::new(Mutex::new(woken));
        for _ in 0..threads {
            let woken = woken.clone();
            std::thread::spawn(move || {
                loop {
                    let next = woken.lock().unwrap().recv();
                    let Ok(task) = next else { return };
                    let waker = Waker::from(task.clone());
                    let mut work = task.work.lock().unwrap();
                    if let Some(running) = work.as_mut()
                        && running
                            .as_mut()
                            .poll(&mut Context::from_waker(&waker))
                            .is_ready()
                    {
                        *work = None;
                    }
                }
            });
        }
        Executor { queue }
    }

    /// Runs `future`; what is returned awaits its output, and panics if it panicked.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        let slot = Arc::new(Mutex::new((None, None::<Waker>)));
        let theirs = slot.clone();
        let work = async move {
            let output = future.await;
            let mut slot = theirs.lock().unwrap();
            slot.0 = Some(output);
            if let Some(waker) = slot.1.take() {
                waker.wake();
            }
        };
        let task = Arc::new(Task {
            work: Mutex::new(Some(Box::pin(work))),
            queue: Mutex::new(self.queue.clone()),
        });
        task.wake();
        std::future::poll_fn(move |context| {
            let mut slot = slot.lock().unwrap();
            match slot.0.take() {
                Some(output) => Poll::Ready(output),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

/// All of some futures, polled in their order.
pub struct JoinAll<F: Future> {
    futures: Vec<Pin<Box<F>>>,
    outputs: Vec<Option<F::Output>>,
}

impl<F: Future> JoinAll<F> {
    pub fn new(futures: Vec<Pin<Box<F>>>) -> Self {
        let outputs = futures.iter().map(|_| None).collect();
        JoinAll { futures, outputs }
    }
}

impl<F: Future> Unpin for JoinAll<F> {}

impl<F: Future> Future for JoinAll<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let JoinAll { futures, outputs } = &mut *self;
        for (future, output) in futures.iter_mut().zip(outputs.iter_mut()) {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => Poll::Ready(outputs.drain(..).flatten().collect()),
            false => Poll::Pending,
        }
    }
}
