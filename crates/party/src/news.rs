//! News: what threads and tasks wait for.
//!
//! Promises: whoever looked before the news were told is woken by them; a waker, which is the task's own code and may come
//! back here, is never called or dropped under a lock of this file.
//! Must not know: what the news are.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use level_party_locks::{Condvar, Mutex};

use crate::error::Result;
use crate::limits::Wait;
use crate::timer::{Alarm, Timer};

/// Something that is told again and again.
#[derive(Default)]
pub(crate) struct News {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    /// How often it was told.
    count: u64,
    /// The tasks that wait, in the order of coming.
    tasks: BTreeMap<u64, Waker>,
    next: u64,
}

impl News {
    /// Tells all who wait.
    pub fn tell(&self) {
        let mut state = self.state.lock();
        state.count += 1;
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        self.told.notify_all();
        tasks.into_values().for_each(Waker::wake);
    }

    fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// Waits until `ready` says something, which it is asked whenever there are news. `None`: the deadline has passed.
    ///
    /// # Errors
    /// A task's deadline can't be watched: the system has no thread left.
    pub async fn wait<T>(
        &self,
        wait: Wait,
        deadline: Instant,
        timer: &Timer,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        loop {
            let seen = self.count();
            if let Some(found) = ready() {
                return Ok(Some(found));
            }
            let told = match wait {
                Wait::Thread => self.wait_here(seen, deadline),
                Wait::Task => {
                    let waiting = Waiting {
                        news: self,
                        seen,
                        deadline,
                        timer,
                        place: None,
                        alarm: None,
                    };
                    waiting.await?
                }
            };
            if !told {
                return Ok(ready());
            }
        }
    }

    /// Blocks until there are news behind those seen. False: the deadline has passed.
    fn wait_here(&self, seen: u64, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while state.count == seen {
            if self.told.wait_until(&mut state, deadline).timed_out() {
                return state.count != seen;
            }
        }
        true
    }
}

/// A task that waits for news behind those seen; whether they came before the deadline.
struct Waiting<'a> {
    news: &'a News,
    seen: u64,
    deadline: Instant,
    timer: &'a Timer,
    place: Option<u64>,
    alarm: Option<Alarm>,
}

impl Future for Waiting<'_> {
    type Output = Result<bool>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waiting = self.get_mut();
        let waker = context.waker().clone();
        let before = {
            let mut state = waiting.news.state.lock();
            if state.count != waiting.seen {
                return Poll::Ready(Ok(true));
            }
            let place = *waiting.place.get_or_insert(state.next);
            state.next = state.next.max(place + 1);
            state.tasks.insert(place, waker)
        };
        drop(before);
        if Instant::now() >= waiting.deadline {
            return Poll::Ready(Ok(false));
        }
        match &waiting.alarm {
            Some(alarm) => alarm.renew(context.waker()),
            None => {
                let alarm = waiting.timer.set(waiting.deadline, context.waker())?;
                waiting.alarm = Some(alarm);
            }
        }
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.news.state.lock().tasks.remove(&place);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use crate::limits::now;

    /// A task whose waker tells news itself, as one does that polls another task on the spot.
    struct Again {
        news: News,
        woken: AtomicUsize,
    }

    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            if self.woken.fetch_add(1, Ordering::SeqCst) < 3 {
                self.news.tell();
            }
        }
    }

    #[test]
    fn waker_may_come_back_and_a_thread_is_woken() {
        let again = Arc::new(Again {
            news: News::default(),
            woken: AtomicUsize::new(0),
        });
        let timer = Timer::default();
        let far = Instant::now() + Duration::from_secs(3600);
        let is_woken = || (again.woken.load(Ordering::SeqCst) > 0).then_some(());
        let mut task = Box::pin(again.news.wait(Wait::Task, far, &timer, is_woken));
        let waker = Waker::from(again.clone());
        let mut context = Context::from_waker(&waker);
        assert!(task.as_mut().poll(&mut context).is_pending());
        std::thread::scope(|threads| {
            let waiting =
                threads.spawn(|| now(again.news.wait(Wait::Thread, far, &timer, is_woken)));
            again.news.tell();
            assert_eq!(waiting.join().unwrap().unwrap(), Some(()));
        });
        assert!(matches!(
            task.as_mut().poll(&mut context),
            Poll::Ready(Ok(Some(())))
        ));
        let past = Instant::now();
        let never = || None::<()>;
        assert_eq!(
            now(again.news.wait(Wait::Thread, past, &timer, never)).unwrap(),
            None
        );
        drop(task);
        timer.close();
    }
}
