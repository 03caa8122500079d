//! From one tenure to the next: what is in flight is resolved, sent again, or told that it is lost.
//!
//! | the page says of a write | the leadership that assigned it | then |
//! |---|---|---|
//! | not assigned | - | it is not in the log: send it again |
//! | refused | - | conflict: nothing was written (its caller looks again, so an old refusal does no harm) |
//! | assigned | goes on, and made it visible | applied |
//! | assigned | goes on, and did not | that leadership is ending: wait for the next |
//! | assigned s | was recovered through r >= s | applied |
//! | assigned s | was recovered through r < s | it is not in the log: send it again |
//! | assigned s | is followed by another program's | applied if s was known to be visible, else `OutcomeUnknown` |
//! | assigned | nobody knows it any more | `OutcomeUnknown` |
//!
//! A leader answers before what it recovered survives a loss of power. Where an assigned write asked for `sync` and its
//! caller waits, nothing is resolved before it does ([`Hello::owed_sync`], [`Leadership::settled`]). If it can't (the
//! disk is full), that caller gets `OutcomeUnknown` with the cause, and all others go on.
//!
//! Whether a sync is owed is asked before the leader is waited for, and again of what is about to be answered: a former
//! leader whose locks have all failed may live on meanwhile, and assign a sequence in between to a write that it had
//! claimed. If the new leader found that write in the log, it lasts no more than the rest of what was recovered. Then a
//! link is given up and the next greeting says what is owed; a leader asks itself anew. (Calls that begin in between are
//! none of this: no leader is there to be sent them, and the next one that gets them makes a sync of its own.)
//!
//! | in between | then |
//! |---|---|
//! | assigned before the successor read the log | it is found there: the answer waits |
//! | assigned after that | it is not found, and sent again: the write with `sync` is made anew |
//! | its caller has gone | nobody is told anything |

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::calls::{connection_lost, outcome_unknown};
use super::flight::Call;
use super::guard::Guard;
use super::pump::Patience;
use super::{Inner, Local, PinId, Session, Tenure, Trouble, Via};
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::follower::Link;
use crate::leader::{Lasting, Leadership};
use crate::options::EngineOptions;
use crate::page::Trace;
use crate::protocol::{Answer, Failure, Hello, RecoveredThrough, Welcome};

/// How long a new leader may take to read what is sent again before the link is given up and tried anew.
const RESEND_LIMIT: Duration = Duration::from_secs(10);

/// How often a call is sent again to one and the same leadership, which ended the connection each time: it can't take it.
const MAX_SENT_AGAIN: u32 = 3;

/// What is done with a write that was in flight when its leader went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Resend,
    Applied { sequence: u64 },
    Refused,
    Unknown,
    NotYet,
}

fn resolve(trace: Trace, recovered: impl Fn() -> RecoveredThrough, published: u64) -> Resolution {
    let (last_sequence, applied) = match trace {
        _ if faults::planted("blind-resend") => return Resolution::Resend,
        Trace::NotAssigned => return Resolution::Resend,
        Trace::Refused => return Resolution::Refused,
        Trace::Assigned {
            last_sequence,
            applied,
        } => (last_sequence, applied),
    };
    let through = |known: bool, otherwise| match known {
        true => Resolution::Applied {
            sequence: last_sequence,
        },
        false => otherwise,
    };
    match recovered() {
        RecoveredThrough::Current => through(applied, Resolution::NotYet),
        RecoveredThrough::Sequence(r) => through(last_sequence <= r, Resolution::Resend),
        RecoveredThrough::SequenceBeforeForeign(_) => {
            through(last_sequence <= published, Resolution::Unknown)
        }
        RecoveredThrough::Unknown => Resolution::Unknown,
    }
}

fn not_taken_up(what: &str) -> Error {
    Error::new(ErrorKind::ConnectionLost, what)
}

/// What a session says of itself to a leader, and what it must remember to understand the welcome.
pub(crate) struct Greeting {
    pub hello: Hello,
    pins: Vec<PinId>,
}

impl Session {
    /// The greeting for a leader that is about to be attached to.
    pub fn greeting(&self, options: EngineOptions, place: Option<u32>) -> Greeting {
        let mut inner = self.lock();
        inner.pins.forget_returned();
        let mut unresolved: Vec<Epoch> = inner.last_epoch.into_iter().collect();
        for (_, call) in inner.calls.iter() {
            if let Some((number, epoch)) = call.entry()
                && matches!(self.page.trace(number, epoch), Trace::Assigned { .. })
                && !unresolved.contains(&epoch)
            {
                unresolved.push(epoch);
            }
        }
        let owed_sync = self.owes_sync(&inner);
        let (pins, moments) = inner.pins.readable().unzip();
        let hello = Hello {
            session: self.id,
            place,
            pid: std::process::id(),
            may_lead: false,
            options,
            trouble: inner.last_trouble(),
            last_epoch: inner.last_epoch,
            unresolved,
            owed_sync,
            pins: moments,
        };
        Greeting { hello, pins }
    }

    /// Whether somebody waits for a write with `sync` that an earlier leader may have made.
    fn owes_sync(&self, inner: &Inner) -> bool {
        inner.calls.iter().any(|(_, call)| {
            let entry = call.entry().filter(|_| call.sync && call.is_awaited());
            entry.is_some_and(|(number, epoch)| {
                matches!(self.page.trace(number, epoch), Trace::Assigned { .. })
            })
        })
    }

    /// A leader welcomed this session: from here on calls go through `link`.
    ///
    /// # Errors
    /// The link broke, the leader is about to leave, or the session was closed. The session is as before.
    pub fn attach(
        &self,
        link: Arc<Link>,
        greeting: &Greeting,
        welcome: &Welcome,
    ) -> Result<Tenure> {
        let mut inner = self.lock();
        if matches!(inner.via, Via::Closed) {
            return Err(Error::closed());
        }
        let recovered = |epoch| {
            if epoch == welcome.epoch {
                return RecoveredThrough::Current;
            }
            let asked = greeting.hello.unresolved.iter().position(|e| *e == epoch);
            let told = asked.and_then(|at| welcome.recovered.get(at).copied());
            told.unwrap_or(RecoveredThrough::Unknown)
        };
        let resolved = self.resolve_open(&inner, &recovered)?;
        let lasting = match (greeting.hello.owed_sync, &welcome.not_lasting) {
            (true, Some(failure)) => Lasting::No(Error::from(failure.clone())),
            (true, None) => Lasting::Yes,
            // The next greeting says that it is.
            (false, _) if inner.is_owed_sync(&resolved, welcome.epoch) => {
                return Err(not_taken_up(
                    "a write came to be owed a sync while the leader was waited for",
                ));
            }
            (false, _) => Lasting::Yes,
        };
        for (id, held) in greeting.pins.iter().zip(&welcome.pins_held) {
            if !held {
                inner.pins.lose(*id);
            }
        }
        let again = self.settle(
            &mut inner,
            welcome.epoch,
            welcome.unbroken,
            resolved,
            lasting,
        );
        let tenure = inner.begin(welcome.epoch, welcome.unbroken, again);
        inner.via = Via::Link(link);
        self.changed.notify_all();
        faults::point("attached");
        self.pump(&mut inner, Patience::Until(Instant::now() + RESEND_LIMIT));
        if inner.tenure == tenure && !inner.rest.is_empty() && !inner.sending {
            self.lose_locked(&mut inner, tenure);
        }
        match inner.tenure == tenure {
            true => Ok(tenure),
            false => Err(not_taken_up("the connection ended before it was in use")),
        }
    }

    /// This process leads from here on.
    ///
    /// # Errors
    /// The leadership is ending, or the session was closed.
    pub fn promote(&self, leadership: Arc<Leadership>) -> Result<Tenure> {
        let recovered = |epoch| leadership.recovered(epoch);
        let mut lasting = None;
        let (mut inner, resolved) = loop {
            let inner = self.lock();
            if matches!(inner.via, Via::Closed) {
                return Err(Error::closed());
            }
            let resolved = self.resolve_open(&inner, &recovered)?;
            if lasting.is_some() || !inner.is_owed_sync(&resolved, leadership.epoch()) {
                break (inner, resolved);
            }
            drop(inner);
            lasting = Some(leadership.settled()?);
        };
        inner.pins.forget_returned();
        let continuous = inner
            .last_epoch
            .is_some_and(|epoch| leadership.follows_unbroken(epoch));
        for (id, sequence) in inner.pins.readable().collect::<Vec<_>>() {
            if !continuous || !leadership.adopt_pin(sequence) {
                inner.pins.lose(id);
            }
        }
        leadership.own_returned();
        let lasting = lasting.unwrap_or(Lasting::Yes);
        let again = self.settle(
            &mut inner,
            leadership.epoch(),
            continuous,
            resolved,
            lasting,
        );
        let tenure = inner.begin(leadership.epoch(), continuous, again);
        let local = Arc::new(Local {
            leadership,
            tenure,
            line: inner.line,
        });
        self.return_to(&mut inner, &local.leadership);
        inner.via = Via::Local(local.clone());
        // Writes that come from here on find what is in flight ahead of them: it is counted before this is seen.
        self.backlog.store(inner.load.open, Ordering::Release);
        self.leading.store(Some(local));
        self.changed.notify_all();
        self.pump(&mut inner, Patience::Endless);
        match inner.via {
            Via::Closed => Err(Error::closed()),
            _ => Ok(tenure),
        }
    }

    /// What is to become of each call that has no answer.
    ///
    /// # Errors
    /// The leadership that assigned one of them is ending, and it can't be told yet.
    fn resolve_open(
        &self,
        inner: &Inner,
        recovered: &dyn Fn(Epoch) -> RecoveredThrough,
    ) -> Result<Vec<(u64, Resolution)>> {
        // Once for each: between two looks at the page nothing may change what is done.
        let open: Vec<(u64, Resolution)> = inner
            .calls
            .iter()
            .filter(|(_, call)| call.answer.is_none())
            .map(|(id, call)| match call.entry() {
                None => (id, Resolution::Resend),
                Some((number, epoch)) => {
                    let trace = self.page.trace(number, epoch);
                    (id, resolve(trace, || recovered(epoch), inner.published))
                }
            })
            .collect();
        let not_yet = |(_, resolution): &(u64, Resolution)| *resolution == Resolution::NotYet;
        match open.iter().any(not_yet) {
            true => Err(not_taken_up(
                "the leader is still busy with this process's connection before",
            )),
            false => Ok(open),
        }
    }

    /// Answers what can be answered of the open calls, which the leadership `epoch` has `resolved`. Gives those that it is to
    /// make, in order.
    fn settle(
        &self,
        inner: &mut Guard<'_>,
        epoch: Epoch,
        unbroken: bool,
        resolved: Vec<(u64, Resolution)>,
        lasting: Lasting,
    ) -> VecDeque<u64> {
        let mut again = VecDeque::new();
        for (id, resolution) in resolved {
            let conditional = inner.calls.get(id).is_some_and(|call| call.conditional);
            let owed = inner.is_owed(id, resolution, epoch);
            let result = match resolution {
                // The sequences that it expects may be those of other writes by now.
                Resolution::Resend if conditional && !unbroken => Ok(Answer::Conflict),
                Resolution::Resend | Resolution::NotYet => {
                    match self.prepare_again(inner, id, epoch) {
                        Ok(true) => {
                            again.push_back(id);
                            continue;
                        }
                        // Its caller has gone and it was not applied: there is nobody to tell.
                        Ok(false) => Err(connection_lost(true)),
                        Err(error) => Err(error),
                    }
                }
                Resolution::Applied { sequence } => match &lasting {
                    Lasting::No(cause) if owed => Err(not_lasting(cause)),
                    _ => Ok(Answer::Written { sequence }),
                },
                Resolution::Refused => Ok(Answer::Conflict),
                Resolution::Unknown => Err(outcome_unknown(
                    "nothing is left that tells what became of it",
                )),
            };
            self.deliver(inner, id, result);
        }
        again
    }

    /// Readies a call to be made again. False: nobody waits for it any more.
    fn prepare_again(&self, inner: &mut Inner, id: u64, epoch: Epoch) -> Result<bool> {
        let Some(call) = inner.calls.get_mut(id).filter(|call| call.is_awaited()) else {
            return Ok(false);
        };
        if call.begun.is_none() {
            return Ok(true);
        }
        let before = call
            .sent_again
            .filter(|(to, _)| *to == epoch)
            .map_or(0, |(_, count)| count);
        if before == MAX_SENT_AGAIN {
            return Err(Error::protocol(
                "the leader ended the connection each time it was sent this call; it had no effect",
            ));
        }
        call.sent_again = Some((epoch, before + 1));
        call.begun = Some(epoch);
        if let Some(number) = call.write {
            self.page.begin(number, epoch);
        }
        Ok(true)
    }

    /// The leader of `tenure` has gone.
    pub fn lose(&self, tenure: Tenure) {
        self.lose_locked(&mut self.lock(), tenure);
    }

    pub(super) fn lose_locked(&self, inner: &mut Guard<'_>, tenure: Tenure) {
        if inner.tenure != tenure {
            return;
        }
        let mut trouble = Trouble::default();
        if let Via::Link(link) = &inner.via {
            link.shutdown();
            // It may live on, stopped or slow: until more is known, who waits in vain is told of it.
            trouble.what = "the connection to the leader ended".into();
            trouble.pid = Some(link.leader_pid());
            let pid = link.leader_pid();
            inner.note_trouble(format!("the connection to the leader (pid {pid}) ended"));
        }
        self.end_tenure(inner, Via::Nobody);
        inner.trouble = trouble;
        self.elector.ring();
    }

    /// This process is about to leave leadership: no call reaches the engine after those under way.
    pub fn step_down(&self) {
        let mut inner = self.lock();
        self.end_tenure(&mut inner, Via::Nobody);
    }

    /// The node closes: every call in flight is answered now, and every later one with `Closed`.
    pub fn close(&self) {
        let mut inner = self.lock();
        if let Via::Link(link) = &inner.via {
            link.shutdown();
        }
        self.end_tenure(&mut inner, Via::Closed);
        self.answer_all(
            &mut inner,
            |_| true,
            |without_effect| match without_effect {
                true => Error::closed(),
                false => outcome_unknown("the handle was closed meanwhile"),
            },
        );
        let Inner { room, wakes, .. } = &mut *inner;
        room.tell_all(wakes);
    }

    fn end_tenure(&self, inner: &mut Inner, via: Via) {
        self.leading.store(None);
        inner.via = via;
        inner.tenure.0 += 1;
        inner.forget_link();
        inner.trouble = Trouble::default();
        inner.pins.forget_returned();
        self.answer_all(inner, |retry| !retry, connection_lost);
        inner.wake_callers();
        self.changed.notify_all();
    }

    /// Ends the open calls whose `retry` is `chosen` with `error(whether it certainly had no effect)`.
    fn answer_all(
        &self,
        inner: &mut Inner,
        chosen: impl Fn(bool) -> bool,
        error: impl Fn(bool) -> Error,
    ) {
        let Inner {
            calls,
            load,
            room,
            wakes,
            unfinished,
            ..
        } = inner;
        for call in calls.iter_mut() {
            if !call.is_awaited() || !chosen(call.retry) {
                continue;
            }
            let without_effect = match call.entry() {
                None => true,
                Some((number, epoch)) => self.page.cancel(number, epoch),
            };
            if let Some(number) = call.write {
                unfinished.remove(number);
            }
            call.end(load);
            room.freed = true;
            call.answer = Some(Err(error(without_effect)));
            if let Some(caller) = call.caller.take() {
                caller.wake(wakes);
            }
        }
    }
}

/// What the caller of a write with `sync` is told that was found made, where that can't be made to last.
fn not_lasting(cause: &Error) -> Error {
    let what = "the write took effect, but a loss of power could undo it yet: its leader has gone, and what it left can't be \
                written to tables now";
    let cause = Error::from(Failure::from(cause));
    Error::new(ErrorKind::OutcomeUnknown, format!("{what}: {cause}")).with_source(cause)
}

impl Inner {
    /// Whether somebody waits for a write with `sync` that was found made, by another leadership than `epoch`.
    fn is_owed(&self, id: u64, resolution: Resolution, epoch: Epoch) -> bool {
        let waits = |call: &Call| call.sync && call.is_awaited() && call.begun != Some(epoch);
        matches!(resolution, Resolution::Applied { .. }) && self.calls.get(id).is_some_and(waits)
    }

    /// Whether any of these is.
    fn is_owed_sync(&self, resolved: &[(u64, Resolution)], epoch: Epoch) -> bool {
        let mut resolved = resolved.iter();
        resolved.any(|(id, resolution)| self.is_owed(*id, *resolution, epoch))
    }

    /// A tenure of the leadership `epoch` begins, with `queue` to be made first; `unbroken`: no other program came
    /// since the last one.
    fn begin(&mut self, epoch: Epoch, unbroken: bool, queue: VecDeque<u64>) -> Tenure {
        if !unbroken {
            self.published = 0;
            self.line.0 += 1;
        }
        self.last_epoch = Some(epoch);
        self.trouble = Trouble::default();
        self.tenure.0 += 1;
        self.forget_link();
        self.answered = false;
        self.queue = queue;
        self.ring_driver();
        self.wake_callers();
        self.tenure
    }

    /// Whoever reads or sends does so for a tenure that is over.
    fn forget_link(&mut self) {
        self.reading = false;
        self.looking.forget();
        self.sending = false;
        self.rest = super::pump::Rest::default();
    }

    /// Wakes every thread that waits for an answer (one of them will read), and the driver.
    fn wake_callers(&mut self) {
        for (_, call) in self.calls.iter() {
            if let Some(caller) = call.caller.as_ref().filter(|caller| !caller.is_task()) {
                caller.wake(&mut self.wakes);
            }
        }
        self.ring_driver();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(last_sequence: u64, applied: bool) -> Trace {
        Trace::Assigned {
            last_sequence,
            applied,
        }
    }

    #[test]
    fn a_refused_write_stays_refused() {
        let never = || -> RecoveredThrough { panic!("no epoch to ask about") };
        assert_eq!(resolve(Trace::Refused, never, 0), Resolution::Refused);
    }

    #[test]
    fn a_write_no_leader_assigned_is_sent_again() {
        let never = || -> RecoveredThrough { panic!("no epoch to ask about") };
        assert_eq!(resolve(Trace::NotAssigned, never, 0), Resolution::Resend);
    }

    #[test]
    fn what_was_recovered_decides_over_an_assigned_write() {
        let recovered = || RecoveredThrough::Sequence(100);
        let applied = Resolution::Applied { sequence: 100 };
        assert_eq!(resolve(assigned(100, false), recovered, 0), applied);
        assert_eq!(
            resolve(assigned(101, false), recovered, 0),
            Resolution::Resend
        );
    }

    #[test]
    fn a_leader_that_goes_on_answers_only_for_what_it_made_visible() {
        let current = || RecoveredThrough::Current;
        let applied = Resolution::Applied { sequence: 7 };
        assert_eq!(resolve(assigned(7, true), current, 0), applied);
        assert_eq!(resolve(assigned(7, false), current, 0), Resolution::NotYet);
    }

    #[test]
    fn after_another_program_only_what_was_seen_visible_counts() {
        let foreign = || RecoveredThrough::SequenceBeforeForeign(150);
        let applied = Resolution::Applied { sequence: 100 };
        assert_eq!(resolve(assigned(100, false), foreign, 100), applied);
        assert_eq!(
            resolve(assigned(105, false), foreign, 100),
            Resolution::Unknown
        );
    }

    #[test]
    fn a_forgotten_epoch_is_never_a_reason_to_send_again() {
        let forgotten = || RecoveredThrough::Unknown;
        assert_eq!(
            resolve(assigned(1, false), forgotten, 9),
            Resolution::Unknown
        );
    }
}
