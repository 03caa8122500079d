//! How the committer comes by the commit lock with room in the active region: C2 to C8, R and W of docs/COMMIT.md.
//!
//! Promises: on return this member holds the lock, writes the active region, sees all that was published there, and it has
//! no record in flight. It cuts off what a dead holder left before it names another region, and a log
//! that was cut is durable before a second one is. Nothing is waited for, no file is opened and no memory asked for while
//! the lock is held.
//! Must not know: what is to be committed, but for its size.

use super::Committer;
use crate::base::control::{Held, LeaderStep as Step, REGIONS};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::events;
use crate::base::limits::{MAX_FROZEN, SLOWDOWN_FILES, STOP_FILES};
use crate::base::options::Before;
use crate::base::steps::step;
use crate::base::waiting::{Patience, WaitedFor};
use crate::commit::active::{ActiveRegion, Prepared};
use crate::commit::logs::is_there;
use crate::commit::shared::Shared;
use crate::commit::wal::Wal;

/// What is asked of the active region.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// So many bytes free.
    Room(usize),
    /// That everything committed before is in regions that are frozen.
    Empty,
    /// That it is another one than this.
    Left(u32),
}

impl Need {
    /// Bytes in the memtable. They are fewer in the log.
    fn demand(self) -> usize {
        match self {
            Need::Room(demand) => demand,
            Need::Empty | Need::Left(_) => 0,
        }
    }
}

impl Committer {
    /// The commit lock, with what is needed.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] with no effect, if another member or the leader would have to be waited for longer than
    /// `patience` allows; what keeps room from being made.
    pub(super) fn lock<'a>(
        &mut self,
        shared: &'a Shared,
        need: Need,
        patience: Patience,
    ) -> Result<Held<'a>> {
        if matches!(need, Need::Room(_)) && shared.level_zero_files() >= SLOWDOWN_FILES {
            if matches!(patience, Patience::None) {
                return Err(Error::timed_out(WaitedFor::Room));
            }
            shared.slow_down();
        }
        let mut switches = false;
        loop {
            if switches || !self.is_met(shared, need) {
                self.wait_for_region(shared, patience)?;
                self.prepare(shared, need.demand())?;
            }
            let held = shared.member.lock(&shared.health, patience)?;
            self.taken_from = held.taken_from().or(self.taken_from);
            step!(shared.member.peers, LockTaken);
            shared.health.check_owner(Before::Append)?;
            if held.active_counter() != self.active.counter {
                drop(held);
                self.follow(shared)?;
                continue;
            }
            let region = held.active();
            let has_record = region.has_record() && !is_overlooked(&held);
            if has_record && !planted!(RecordNotRepaired) {
                switches = self.repair(shared, held, patience)?;
                continue;
            }
            self.active.catch_up(&held)?;
            if self.is_met(shared, need) && self.has_log_room(&held, need) {
                return Ok(held);
            }
            // The region in reserve is for takeovers.
            let frozen = shared.frozen_count()?;
            if !(frozen < MAX_FROZEN && self.may_be_next(&held, need.demand())) {
                switches = true;
                continue;
            }
            if let Some(region) = cut_before(&held, frozen) {
                drop(held);
                shared.complete_log(region, patience)?;
                continue;
            }
            self.switch(shared, &held)?;
            return Ok(held);
        }
    }

    fn is_met(&self, shared: &Shared, need: Need) -> bool {
        match need {
            Need::Room(demand) => {
                let most = shared.options.write_buffer_size;
                self.active.has_room(demand, most)
            }
            Need::Empty => self.active.used() == 0,
            Need::Left(region) => self.active.counter != region,
        }
    }

    fn has_log_room(&self, held: &Held<'_>, need: Need) -> bool {
        let log = &self.active.log;
        log.is_unlimited() || log.has_room(held.active().committed_end(), need.demand())
    }

    /// Goes on in the region that another member made the active one.
    fn follow(&mut self, shared: &Shared) -> Result<()> {
        let (fs, order) = (shared.fs.as_ref(), shared.tables.comparator());
        let logs = &shared.syncs.logs;
        loop {
            if let Some(active) = ActiveRegion::attach(&shared.member, fs, logs, order)? {
                self.active = active;
                logs.forget_below(shared.log_number()?);
                return Ok(());
            }
            shared.member.check_view(shared.member.control.view())?;
        }
    }

    /// Waits until a region may be switched to.
    fn wait_for_region(&mut self, shared: &Shared, patience: Patience) -> Result<()> {
        shared.wait_for_room(patience, |frozen, level_zero| match (frozen, level_zero) {
            (MAX_FROZEN.., _) => Some(Step::Flush),
            (_, STOP_FILES..) => Some(Step::Compaction),
            _ => None,
        })
    }

    /// Has a log and memory ready for the next region, if they are not.
    fn prepare(&mut self, shared: &Shared, demand: usize) -> Result<()> {
        let control = &shared.member.control;
        let active = control.view().active;
        if let Some(prepared) = &self.prepared {
            if prepared.suits(active, control.region(active).log(), demand) {
                return Ok(());
            }
            self.give_up_prepared(shared);
        }
        let next = active.wrapping_add(1);
        let most = shared.options.write_buffer_size;
        // Memory before the log: if there is none, no file is left.
        let memory = Prepared::memory(&shared.member, next, most, demand)?;
        let log = loop {
            shared.health.check_owner(Before::Create)?;
            match Wal::create(shared.fs.as_ref(), shared.next_file().next()) {
                // Somebody else's file: the number is passed over.
                Err(error) if is_there(&error) => {}
                created => break created?,
            }
        };
        self.prepared = Some(Prepared::new(log, next, memory));
        Ok(())
    }

    /// Another member has switched meanwhile. Nobody ever saw the log.
    fn give_up_prepared(&mut self, shared: &Shared) {
        if let Some(prepared) = self.prepared.take() {
            // The leader removes it with the old logs.
            let _ = prepared.log.remove(shared.fs.as_ref());
        }
    }

    fn may_be_next(&self, held: &Held<'_>, demand: usize) -> bool {
        let (active, log) = (held.active_counter(), held.active().log());
        let prepared = self.prepared.as_ref();
        prepared.is_some_and(|prepared| prepared.suits(active, log, demand))
    }

    /// Cuts off what a holder left that died or failed in the middle of a commit, and switches (R). True: a log or memory
    /// has to be prepared first.
    fn repair(&mut self, shared: &Shared, held: Held<'_>, patience: Patience) -> Result<bool> {
        let frozen = shared.frozen_count()?;
        if frozen + 2 > REGIONS as usize {
            drop(held);
            // It waits for an older region, never for this one.
            shared.wait_for_room(patience, |frozen, _| {
                (frozen + 2 > REGIONS as usize).then_some(Step::Flush)
            })?;
            return Ok(false);
        }
        if !self.may_be_next(&held, 0) {
            drop(held);
            self.prepare(shared, 0)?;
            return Ok(false);
        }
        if let Some(region) = cut_before(&held, frozen) {
            drop(held);
            shared.complete_log(region, patience)?;
            return Ok(false);
        }
        step!(shared.member.peers, Cut);
        if !planted!(RepairWithoutCut) {
            self.active.log.cut(held.active().record_start())?;
        }
        let log = held.active().log();
        self.switch(shared, &held)?;
        drop(held);
        self.tell_takeover(shared);
        events::log_repaired(&shared.options.name, log);
        Ok(false)
    }

    /// Makes what was prepared the active region (W2 to W5).
    fn switch(&mut self, shared: &Shared, held: &Held<'_>) -> Result<()> {
        let Some(prepared) = self.prepared.take() else {
            return Err(Error::new(ErrorKind::Io, "no region was prepared"));
        };
        let before = held.active().published();
        held.set_up_next(prepared.log.number());
        let order = shared.tables.comparator();
        shared.syncs.logs.keep(prepared.log.log());
        self.active = prepared.install(&shared.member, order, before)?;
        held.name_next();
        shared.syncs.logs.forget_below(shared.log_number()?);
        shared.views.renew()?;
        shared.call_background();
        Ok(())
    }
}

/// Of a commit in flight, a bug on purpose: each member has a record of its own, and who takes the lock looks at that of the
/// member it takes it from.
#[cfg(test)]
fn is_overlooked(held: &Held<'_>) -> bool {
    planted!(RecordOfEachMember) && !held.is_taken_from_writer()
}

#[cfg(not(test))]
fn is_overlooked(_: &Held<'_>) -> bool {
    false
}

/// The region before the active one, of `frozen` that are in no table, if its log was cut and is not durable: after a loss of
/// power its old end could be taken for what the active region's log had, if that is lost, and the next region's follow it.
fn cut_before(held: &Held<'_>, frozen: usize) -> Option<u32> {
    let before = held.active_counter().wrapping_sub(1);
    let needs_completion = frozen > 0 && held.region(before).needs_completion();
    (needs_completion && !planted!(FreeSecondSwitch)).then_some(before)
}
