//! [`Committer`]: commits one group at a time.
//!
//! Promises, in this order: each hook is asked whether its write is still wanted; if any of the writes asks for sync, what
//! was recovered is in tables, or those that ask for it fail and no others; the conditions are judged; room is made in the
//! log and the memtable; sequences are assigned and the hooks told; the group goes to the log as one record with one
//! write; it is synced if any of its writes asks for that; it is inserted, published, and answered. A failure before the
//! sequences are assigned changes nothing. After a failed append or sync nothing is written any more, ever.
//! Must not know: who waits for the answers.

use std::sync::Arc;

use level_party_format::batch::WriteBatch;
use level_party_format::{MAX_SEQUENCE, Sequence};
use level_party_memtable::MemTableWriter;

use super::conditions::judge;
use super::{Job, Pending};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::limits::{MAX_FROZEN, SLOWDOWN_FILES, STOP_FILES};
use crate::base::options::Before;
use crate::commit::memory;
use crate::commit::shared::Shared;
use crate::commit::wal::Wal;
use crate::commit::work::{Frozen, Step};
use crate::read::view::View;

/// Bytes of the group's batch that are kept from one group to the next.
const KEPT_BATCH: usize = 1 << 20;

/// The right to commit, with all that only the committing caller may touch.
pub(crate) struct Committer {
    wal: Wal,
    /// Logs that may hold unsynced entries not in tables yet.
    older: Vec<Wal>,
    mem: MemTableWriter,
    /// The bytes that were free in the memtable when it was empty.
    capacity: usize,
    /// The last sequence assigned, which is published as soon as its group is inserted.
    last: Sequence,
    /// The batches of a group as one.
    merged: WriteBatch,
}

impl Committer {
    pub(crate) fn new(wal: Wal, mem: MemTableWriter, last: Sequence) -> Committer {
        Committer {
            wal,
            older: Vec::new(),
            capacity: mem.remaining(),
            mem,
            last,
            merged: WriteBatch::new(),
        }
    }

    /// Commits the group: afterwards everything in it has its answer.
    pub(super) fn commit(&mut self, shared: &Shared, group: &mut [Job]) {
        match group {
            [Job::Freeze(answer)] => *answer = Some(self.freeze(shared)),
            [Job::Close(answer)] => *answer = Some(Ok(self.last)),
            _ => {
                if let Err(error) = self.commit_writes(shared, group) {
                    fail(group, &error);
                }
            }
        }
    }

    fn commit_writes(&mut self, shared: &Shared, group: &mut [Job]) -> Result<()> {
        shared.health.check_open()?;
        shared.health.check()?;
        claim(group);
        // Before anything is judged by what these writes will have made.
        if undecided(group).any(|w| w.write.sync)
            && !planted!(SyncUnsettled)
            && let Err(error) = shared.settled()
        {
            shared.health.check_open()?;
            shared.health.check()?;
            for write in undecided(group).filter(|w| w.write.sync) {
                write.answer = Some(Err(error.clone()));
            }
        }
        judge(group, &shared.view.load(), self.last);
        let demand = going_on(group).map(|w| w.demand).sum();
        self.make_room(shared, demand)?;
        shared.health.check()?;
        shared.health.check_owner(Before::Append)?;

        let first = self.last + 1;
        let last = self.assign(group)?;
        let written = self.log(shared, group, first, last);
        written.map_err(|error| shared.health.poison(error))?;
        shared.health.check_owner(Before::Answer)?;
        for write in going_on(group) {
            let batch = &write.write.batch;
            memory::insert_all(&mut self.mem, batch.iter(), batch.sequence())
                .map_err(|error| shared.health.poison(error))?;
        }
        self.last = last;
        self.mem.publish(last);
        if shared.window.is_on() {
            let batches = going_on(group).map(|w| &w.write.batch);
            shared.window.push(batches);
        }
        for write in undecided(group) {
            if let Some(refusal) = &write.refusal {
                write.answer = Some(Err(refusal.error.clone()));
                continue;
            }
            let sequence = last_of(&write.write.batch);
            if let Some(hook) = &mut write.write.hook {
                hook.decided(sequence);
            }
            write.answer = Some(Ok(sequence));
        }
        Ok(())
    }

    /// Gives each batch its sequences, and tells the hooks, of refusals too. Gives the group's last sequence.
    fn assign(&mut self, group: &mut [Job]) -> Result<Sequence> {
        let total: u64 = going_on(group)
            .map(|w| u64::from(w.write.batch.count()))
            .sum();
        if total > MAX_SEQUENCE - self.last {
            let message = "the database has used up all its sequence numbers";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let mut next = self.last + 1;
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
                && refusal.at == self.last
            {
                write.answer = Some(Err(refusal.error.clone()));
            }
        }
        Ok(next - 1)
    }

    /// Appends the group as one record, and syncs if any write asks for it.
    fn log(
        &mut self,
        shared: &Shared,
        group: &mut [Job],
        first: Sequence,
        last: Sequence,
    ) -> Result<()> {
        if last >= first {
            let mut batches = going_on(group)
                .map(|w| &w.write.batch)
                .filter(|b| !b.is_empty());
            let single = batches
                .next()
                .expect("sequences were assigned to operations");
            match batches.next() {
                None => self.wal.append(single.as_bytes())?,
                Some(second) => {
                    self.merged.clear();
                    self.merged.append(single);
                    self.merged.append(second);
                    batches.for_each(|batch| self.merged.append(batch));
                    self.merged.set_sequence(first);
                    self.wal.append(self.merged.as_bytes())?;
                    if self.merged.byte_size() > KEPT_BATCH {
                        self.merged = WriteBatch::new();
                    }
                }
            }
        }
        if going_on(group).any(|w| w.write.sync) {
            self.sync(shared)?;
        }
        Ok(())
    }

    /// Makes everything committed so far durable: older logs first, unless they are in synced tables by now.
    fn sync(&mut self, shared: &Shared) -> Result<()> {
        self.forget_flushed(shared);
        for wal in &mut self.older {
            wal.sync(shared.fs.as_ref())?;
        }
        self.older.clear();
        self.wal.sync(shared.fs.as_ref())
    }

    fn forget_flushed(&mut self, shared: &Shared) {
        let log_number = shared.log_number();
        self.older.retain(|wal| wal.number() >= log_number);
    }

    /// Waits until the tables keep up, and until the memtable has `demand` bytes free, in a new one if need be.
    fn make_room(&mut self, shared: &Shared, demand: usize) -> Result<()> {
        if shared.level_zero_files() >= SLOWDOWN_FILES {
            shared.slow_down();
        }
        let used = self.used();
        let is_over = used > 0 && used.saturating_add(demand) > shared.options.write_buffer_size;
        if self.mem.remaining() >= demand && !is_over {
            return Ok(());
        }
        if used == 0 {
            return self.replace_memtable(shared, demand);
        }
        self.rotate(shared, demand)
    }

    /// Bytes of the memtable that its entries take.
    fn used(&self) -> usize {
        self.capacity.saturating_sub(self.mem.remaining())
    }

    fn freeze(&mut self, shared: &Shared) -> Result<Sequence> {
        shared.health.check_open()?;
        shared.health.check()?;
        if self.used() > 0 {
            self.rotate(shared, 0)?;
        }
        Ok(self.wal.number())
    }

    /// A larger memtable instead of an empty one; the log stays.
    fn replace_memtable(&mut self, shared: &Shared, demand: usize) -> Result<()> {
        self.mem = memory::allocate(
            &shared.options,
            shared.tables.comparator(),
            demand,
            self.last,
        )?;
        self.capacity = self.mem.remaining();
        let _state = shared.state.lock();
        let view = shared.view.load();
        let view = View::new(
            self.mem.reader(),
            view.frozen.clone(),
            Arc::clone(&view.version),
        );
        shared.view.store(Arc::new(view));
        Ok(())
    }

    /// A new log and a new memtable; the full one is frozen, and the background thread told. If this fails, nothing has
    /// changed.
    fn rotate(&mut self, shared: &Shared, demand: usize) -> Result<()> {
        shared.wait_for_room(|frozen, level_zero| match (frozen, level_zero) {
            (MAX_FROZEN.., _) => Some(Step::Flush),
            (_, STOP_FILES..) => Some(Step::Compaction),
            _ => None,
        })?;
        let mem = memory::allocate(
            &shared.options,
            shared.tables.comparator(),
            demand,
            self.last,
        )?;
        shared.health.check_owner(Before::Create)?;
        let wal = Wal::create(shared.fs.as_ref(), shared.next_file_number())?;
        let old_wal = std::mem::replace(&mut self.wal, wal);
        self.capacity = mem.remaining();
        let old_mem = std::mem::replace(&mut self.mem, mem);

        let mut state = shared.state.lock();
        state.freeze(
            Frozen {
                mem: old_mem.reader(),
                log_number: old_wal.number(),
            },
            self.wal.number(),
        );
        let view = shared.view.load();
        let version = Arc::clone(&view.version);
        let next = View::new(self.mem.reader(), state.frozen_newest_first(), version);
        shared.view.store(Arc::new(next));
        drop(state);
        shared.call_background();

        self.forget_flushed(shared);
        self.older.push(old_wal);
        Ok(())
    }
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

/// Asks each hook whether its write is still wanted.
fn claim(group: &mut [Job]) {
    for write in undecided(group) {
        if let Some(hook) = &mut write.write.hook
            && !hook.claim()
        {
            let message = "the write was cancelled before it was taken up";
            write.answer = Some(Err(Error::new(ErrorKind::Cancelled, message)));
        }
    }
}

/// The sequence of a batch's last operation; of the one before it, if the batch is empty.
fn last_of(batch: &WriteBatch) -> Sequence {
    (batch.sequence() + u64::from(batch.count())).saturating_sub(1)
}

/// Answers all that has no answer with this error.
pub(super) fn fail(group: &mut [Job], error: &Error) {
    for job in group.iter_mut() {
        if let Job::Freeze(answer) | Job::Close(answer) = job {
            answer.get_or_insert_with(|| Err(error.clone()));
        }
    }
    for write in undecided(group) {
        write.answer = Some(Err(error.clone()));
    }
}
