//! [`Committer`]: commits one group at a time (docs/COMMIT.md, C).
//!
//! Promises, in this order: the conditions are judged; the commit lock is taken, with room in the log and the memtable; each
//! hook is asked whether its write is still wanted; if another member committed meanwhile, or a write is not wanted, the
//! conditions are judged again; from here on nobody is waited for;
//! sequences are assigned and the hooks told; the record of the commit in flight is stored; the group goes to the log as
//! one record with one write; it is inserted, published, and answered, unless any of its writes asks for sync: that comes
//! first, without the lock and without the right to commit. A failure before the group is in the log changes nothing: what
//! a failed append left is cut off.
//! Must not know: who waits for the answers.

use std::time::Instant;

use level_party_format::batch::WriteBatch;
use level_party_format::{MAX_SEQUENCE, Sequence};

use super::conditions::{has_conditions, judge};
use super::room::Need;
use super::{Job, Pending};
use crate::base::control::{CondemnReason, Held};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::events;
use crate::base::options::Before;
use crate::base::peers::Incarnation;
use crate::base::steps::step;
use crate::base::waiting::{Patience, WaitedFor};
use crate::commit::active::{ActiveRegion, Prepared};
use crate::commit::memory;
use crate::commit::shared::Shared;
use crate::commit::sync::Owed;
use crate::commit::wal::Wal;
use crate::read::view_source::ViewSource;

/// Bytes of the group's batch that are kept from one group to the next.
const KEPT_BATCH: usize = 1 << 20;

/// The right to commit in this process, with all that only the committing caller may touch.
pub(crate) struct Committer {
    /// The region that this process wrote last.
    pub(super) active: ActiveRegion,
    /// What the next region needs.
    pub(super) prepared: Option<Prepared>,
    /// The batches of a group as one.
    merged: WriteBatch,
    /// A dead member from which this one took the commit lock over. It is told once the lock is given back.
    pub(super) taken_from: Option<Incarnation>,
}

impl Committer {
    pub(crate) fn new(active: ActiveRegion) -> Committer {
        Committer {
            active,
            prepared: None,
            merged: WriteBatch::new(),
            taken_from: None,
        }
    }

    /// Tells of a commit lock that was taken over, without the lock.
    pub(super) fn tell_takeover(&mut self, shared: &Shared) {
        if let Some(from) = self.taken_from.take() {
            events::lock_taken_over(&shared.options.name, from);
        }
    }

    /// Commits the group: afterwards everything in it has its answer, or it is published, and what has none is to be made
    /// durable before it is [answered](answer). If others would have to be waited for longer than `patience` allows, nothing
    /// happens, and it says for whom.
    pub(super) fn commit(
        &mut self,
        shared: &Shared,
        group: &mut [Job],
        patience: Patience,
    ) -> Result<Option<Owed>, WaitedFor> {
        let done = match group {
            [Job::Close(answer)] => {
                *answer = Some(Ok(shared.last_sequence()));
                return Ok(None);
            }
            [Job::Leave { region, answer, .. }] => {
                let need = region.map_or(Need::Empty, Need::Left);
                let left = self.leave(shared, need, patience);
                left.map(|log| *answer = Some(Ok(log))).map(|()| None)
            }
            _ => self.commit_writes(shared, group, patience),
        };
        self.tell_takeover(shared);
        done.or_else(|error| match error.waited_for() {
            Some(waited_for) => Err(waited_for),
            None => {
                fail(group, &error);
                Ok(None)
            }
        })
    }

    fn commit_writes(
        &mut self,
        shared: &Shared,
        group: &mut [Job],
        patience: Patience,
    ) -> Result<Option<Owed>> {
        shared.check_writable()?;
        let judged_at = judge_now(shared, group)?;
        // Also of what is refused: when it is judged again it may go on.
        let demand = undecided(group).map(|w| w.demand).sum();
        let held = self.lock(shared, Need::Room(demand), patience)?;
        shared.check_writable()?;
        shared.health.check_accepts_writes()?;
        let all_are_wanted = claim(group);
        let before = held.active().published();
        let has_changed = |at| at != before || !all_are_wanted;
        if judged_at.is_some_and(has_changed) && !planted!(ConditionsNotJudgedAgain) {
            judge_now(shared, group)?;
        }
        if before > MAX_SEQUENCE {
            return Err(shared.condemn(CondemnReason::Damaged));
        }
        let last = self.assign(group, before)?;
        if last > before {
            self.append(shared, &held, group, last)?;
        }
        let held = check_before_insert(shared, held)?;
        step!(shared.member.peers, Insert);
        if last > before {
            self.insert(shared, group)?;
            held.publish();
            self.active.published(last);
        }
        drop(held);
        step!(shared.member.peers, Answer);
        answer_unsynced(group);
        if going_on(group).next().is_some() {
            let region = self.active.counter;
            return Ok(Some(Owed { region, last }));
        }
        answer(group, &Ok(()));
        Ok(None)
    }

    /// Gives each batch its sequences, the first after `before`, and tells the hooks, of refusals too. Gives the group's last
    /// sequence.
    fn assign(&mut self, group: &mut [Job], before: Sequence) -> Result<Sequence> {
        let total: u64 = going_on(group)
            .map(|w| u64::from(w.write.batch.count()))
            .sum();
        if total > MAX_SEQUENCE - before {
            let message = "the database has used up all its sequence numbers";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let mut next = before + 1;
        for write in going_on(group) {
            let batch = &mut write.write.batch;
            batch.set_sequence(next);
            next += u64::from(batch.count());
        }
        for write in undecided(group) {
            let sequence = last_of(&write.write.batch);
            write.assigned = write.refusal.is_none();
            match (&write.refusal, &mut write.write.hook) {
                (Some(refusal), Some(hook)) => hook.refused(&refusal.error, refusal.at),
                (None, Some(hook)) => hook.assigned(sequence),
                (_, None) => {}
            }
            // What was judged by the published state alone stands, whatever becomes of the group.
            if let Some(refusal) = &write.refusal
                && refusal.at == before
            {
                write.answer = Some(Err(refusal.error.clone()));
            }
        }
        Ok(next - 1)
    }

    /// Appends the group as one record. If that fails, it has no effect.
    fn append(
        &mut self,
        shared: &Shared,
        held: &Held<'_>,
        group: &mut [Job],
        last: Sequence,
    ) -> Result<()> {
        let appended = self.try_append(shared, held, group, last);
        appended.map_err(|error| self.take_back(shared, held, group, error))
    }

    /// C10 and C11.
    #[cfg_attr(
        not(any(test, feature = "steps")),
        expect(unused_variables, reason = "steps of tests")
    )]
    fn try_append(
        &mut self,
        shared: &Shared,
        held: &Held<'_>,
        group: &mut [Job],
        last: Sequence,
    ) -> Result<()> {
        let log = &mut self.active.log;
        let start = held.active().committed_end();
        let len = frame(log, &mut self.merged, group, start);
        held.begin(last, len);
        if planted!(PublishedBeforeAppend) {
            held.publish();
        }
        step!(shared.member.peers, Append);
        log.write(start)?;
        if going_on(group).any(|write| write.write.sync) {
            log.write_ahead(start, start + len)?;
        }
        Ok(())
    }

    /// Undoes a failed append (E). If what it left can't be cut off, whoever holds the lock next does it.
    #[cfg_attr(
        not(any(test, feature = "steps")),
        expect(unused_variables, reason = "steps of tests")
    )]
    fn take_back(
        &mut self,
        shared: &Shared,
        held: &Held<'_>,
        group: &mut [Job],
        error: Error,
    ) -> Error {
        // Before anybody else gets the sequences.
        for write in undecided(group) {
            if let Some(hook) = &mut write.write.hook {
                hook.undone();
            }
        }
        step!(shared.member.peers, CutFailed);
        if let Err(cut) = self.active.log.cut(held.active().committed_end()) {
            let message = format!("the engine {error}, and {cut}: the write may have been applied");
            return Error::with_source(ErrorKind::OutcomeUnknown, message, error);
        }
        held.take_back();
        undecided(group).for_each(|write| write.assigned = false);
        error
    }

    fn insert(&mut self, shared: &Shared, group: &mut [Job]) -> Result<()> {
        for write in going_on(group) {
            let batch = &write.write.batch;
            memory::insert_all(&mut self.active.mem, batch.iter(), batch.sequence())
                .map_err(|_| shared.condemn(CondemnReason::Damaged))?;
        }
        Ok(())
    }

    /// Leaves the region that is written, if the need asks for that. Gives the number of the log then in use.
    fn leave(&mut self, shared: &Shared, need: Need, patience: Patience) -> Result<Sequence> {
        shared.check_writable()?;
        let _held = self.lock(shared, need, patience)?;
        Ok(self.active.log.number())
    }
}

/// Makes the record of a group's operations, of which there are some. Gives its length in the log.
fn frame(log: &mut Wal, merged: &mut WriteBatch, group: &mut [Job], start: u64) -> u64 {
    let batches = going_on(group).map(|w| &w.write.batch);
    let mut batches = batches.filter(|batch| !batch.is_empty());
    let single = batches
        .next()
        .expect("sequences were assigned to operations");
    let Some(second) = batches.next() else {
        return log.frame(single.as_bytes(), start);
    };
    merged.clear();
    merged.append(single);
    merged.append(second);
    batches.for_each(|batch| merged.append(batch));
    merged.set_sequence(single.sequence());
    let len = log.frame(merged.as_bytes(), start);
    if merged.byte_size() > KEPT_BATCH {
        *merged = WriteBatch::new();
    }
    len
}

/// Whether what is in the log may be published (C12). If not, its record stays, and it may be found there.
fn check_before_insert<'a>(shared: &Shared, held: Held<'a>) -> Result<Held<'a>> {
    if !held.is_of(shared.member.own) {
        // Whoever took the lock took this member for dead, and has it now.
        held.leave();
        return Err(shared.condemn(CondemnReason::Damaged));
    }
    shared.health.check_not_condemned()?;
    shared.health.check_owner(Before::Answer)?;
    Ok(held)
}

/// Judges the group's conditions by what is published now. Gives the moment; nothing if there are none.
fn judge_now(shared: &Shared, group: &mut [Job]) -> Result<Option<Sequence>> {
    if !has_conditions(group) {
        return Ok(None);
    }
    loop {
        let view = shared.views.load_full()?;
        let now = view.last_sequence();
        judge(group, &view, now);
        let mut refusals = undecided(group).filter_map(|write| write.refusal.as_ref());
        let is_stale = refusals.any(|refusal| shared.views.has_newer(&view, &refusal.error));
        if view.is_current() && !is_stale {
            return Ok(Some(now));
        }
        shared.member.check_view(view.word())?;
    }
}

/// Answers the writes of a group that was published, and made durable if any of them asks for that.
pub(super) fn answer(group: &mut [Job], durable: &Result<()>) {
    undecided(group).for_each(|write| decide(write, durable));
}

/// Of a group that was published, answers the writes that did not ask for sync.
fn answer_unsynced(group: &mut [Job]) {
    let unsynced = undecided(group).filter(|write| !write.write.sync);
    unsynced.for_each(|write| decide(write, &Ok(())));
}

/// Of a group that was published, answers the writes whose time is over.
pub(super) fn give_up_sync(group: &mut [Job], error: &Error) {
    let now = Instant::now();
    let is_over = |write: &&mut Pending| write.write.deadline.is_some_and(|at| at <= now);
    let durable = Err(error.clone());
    undecided(group)
        .filter(is_over)
        .for_each(|write| decide(write, &durable));
}

/// Answers a write that was published or refused, and made durable or not if it asked for that.
fn decide(write: &mut Pending, durable: &Result<()>) {
    if let Some(refusal) = &write.refusal {
        write.answer = Some(Err(refusal.error.clone()));
        return;
    }
    if let (true, Err(error)) = (write.write.sync, durable) {
        write.answer = Some(Err(error.clone()));
        return;
    }
    let sequence = last_of(&write.write.batch);
    if let Some(hook) = &mut write.write.hook {
        hook.decided(sequence);
    }
    write.answer = Some(Ok(sequence));
}

/// The writes of a group that have no answer yet, in order.
fn undecided(group: &mut [Job]) -> impl Iterator<Item = &mut Pending> {
    let writes = group.iter_mut().flat_map(Job::pending_mut);
    writes.filter(|write| write.answer.is_none())
}

/// The writes of a group that are to be applied, in order.
fn going_on(group: &mut [Job]) -> impl Iterator<Item = &mut Pending> {
    undecided(group).filter(|write| write.refusal.is_none())
}

/// Asks each hook whether its write is still wanted, and says whether all are.
fn claim(group: &mut [Job]) -> bool {
    let mut all_are_wanted = true;
    for write in undecided(group) {
        if let Some(hook) = &mut write.write.hook
            && !hook.claim()
        {
            all_are_wanted = false;
            let message = "the write was cancelled before it was taken up";
            write.answer = Some(Err(Error::new(ErrorKind::Cancelled, message)));
        }
    }
    all_are_wanted
}

/// The sequence of a batch's last operation; of the one before it, if the batch is empty.
fn last_of(batch: &WriteBatch) -> Sequence {
    (batch.sequence() + u64::from(batch.count())).saturating_sub(1)
}

/// Answers all that has no answer with this error.
pub(super) fn fail(group: &mut [Job], error: &Error) {
    for job in group.iter_mut() {
        if let Job::Leave { answer, .. } | Job::Close(answer) = job {
            answer.get_or_insert_with(|| Err(error.clone()));
        }
    }
    for write in undecided(group) {
        write.answer = Some(Err(error.clone()));
    }
}
