//! Founding: this process has the directory alone, recovers it, and makes the segment (docs/COMMIT.md, D).
//!
//! Order (each step is safe to die after):
//! 1. `LOCK` is held alone (the caller's [`DirLock`]).
//! 2. Take the epoch word: a member that lives on, whatever became of its locks, answers and writes nothing more.
//! 3. Look at the tripwire and at `CURRENT`: a missing one, or another name than was written down, means that another
//!    program had the directory since the last epoch. Write that down.
//! 4. Recover into tables, and make the segment, of which this process is the first member.
//! 5. Write how far the last epoch was recovered. 6. Set the tripwire. 7. Raise the epoch. 8. Take the leader's byte.
//! 9. Lower the locks: from here on others may join, once the caller serves the endpoint.
//!
//! A founder that loses its locks while it lowers them gives all up and begins again: nothing was handed out.

use std::path::Path;
use std::sync::Arc;

use level_party_engine::{
    Engine, Fs, Membership, Peers, RecoveryMode, current_manifest, first_incarnation,
};
use level_party_os::{ByteLock, DataDir, DirLock, LowerError, process};

use super::owner::{OwnLock, Owner};
use super::{Ending, Lock, Member, still_there};
use crate::alarm::Alarm;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::limits::Stay;
use crate::liveness::Liveness;
use crate::options::{Options, into_engine_options};
use crate::segment::Memory;
use crate::service::ServiceState;
use crate::state_file::{StateFile, leader_byte};
use crate::{faults, trace, tripwire};

/// A founder, with the leader's byte and its leadership's number. `None` in place of the byte: nothing can be shared.
pub(crate) struct Founder {
    pub member: Arc<Member>,
    pub byte: Option<ByteLock>,
    pub leadership: u64,
}

/// Founds a segment.
///
/// # Errors
/// What keeps this process from it: the state file, recovery. All that it held is given back. `Ok(None)`: another program got
/// the directory in between.
pub(crate) fn found(
    dir: &DataDir,
    path: &Path,
    lock: DirLock,
    options: &Options,
    elector: &Arc<Alarm>,
    stay: Stay,
) -> Result<Option<Founder>> {
    faults::point("lock-taken");
    let founded = still_there(dir, path)
        .and_then(|()| recover(&dir.anchored_path(), path, lock, options, elector, stay));
    founded.map_err(|error| error.cannot_open(path))
}

/// `path` is the directory's [`DataDir::anchored_path`], so that no file is ever looked for in a directory that has
/// taken the name of the one whose `LOCK` is held; `name` is what the directory is called.
fn recover(
    path: &Path,
    name: &Path,
    lock: DirLock,
    options: &Options,
    elector: &Arc<Alarm>,
    stay: Stay,
) -> Result<Option<Founder>> {
    let context = |error| Error::io("cannot use what the last epoch left", error);
    let state = Arc::new(StateFile::open(path)?);
    faults::point("word-taken");
    state.record_founder().map_err(context)?;
    let fs = faults::files(files::open(path, options));
    state.set_service(ServiceState::read(fs.as_ref())?.word());
    let boot_id = process::boot_id();
    let prior = state.prior(boot_id);
    let manifest = current_manifest(fs.as_ref()).map_err(context)?;
    let foreign = prior.foreign
        || prior.is_foreign_manifest(manifest)
        || (prior.tripwire && !tripwire::is_set(path)?);
    let name = name.to_string_lossy();
    if foreign {
        trace::foreign_program(&name);
    }
    state.record_found(foreign, manifest).map_err(context)?;
    let epoch = Epoch::after(prior.epoch.map_or(0, |epoch| epoch.number)).map_err(context)?;
    let ending = Ending::new(elector);
    let lock = Arc::new(Lock::Alone(lock));
    let own_lock = Arc::new(OwnLock::default());
    own_lock.set(&lock);
    let mut engine_options = into_engine_options(options, &options.engine);
    engine_options.name = name.into();
    engine_options.recovery = match prior.same_boot {
        true => RecoveryMode::SameBoot,
        false => RecoveryMode::AfterReboot,
    };
    engine_options.foreign_logs = foreign || prior.epoch.is_none();
    engine_options.drop_floor = if foreign { 0 } else { prior.drop_floor };
    engine_options.listener = Some(Arc::new(Owner {
        state: state.clone(),
        ending: ending.clone(),
        lock: own_lock.clone(),
        fills: options.fills,
    }));
    // Where there is none to be had, this process has the directory alone.
    let (memory, alone) = match Memory::create() {
        Ok(memory) => (Some(memory), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let first = memory.as_ref();
    let first = first.map(|memory| first_member(&state, memory, epoch));
    let (engine, byte) = open_engine(first.transpose()?, fs.clone(), engine_options)?;
    let context = |error| Error::io("cannot write what the next founder must know", error);
    faults::point("recovered");
    let through = engine.recovered().last_sequence;
    if let Some(epoch) = prior.epoch {
        let recorded = state.record_recovered(epoch, through, foreign);
        recorded.map_err(context)?;
    }
    faults::point("row-written");
    tripwire::set(path)?;
    faults::point("tripwire-set");
    let new_floor = foreign.then_some(through);
    let raised = state.raise(epoch, boot_id, new_floor, alone.as_deref());
    let leadership = raised.map_err(context)?;
    faults::point("epoch-raised");
    if foreign || !prior.tripwire || !prior.same_boot {
        // The tripwire and the word that it was set last from here on, also through a loss of power. Later epochs of
        // this boot change neither.
        state.sync().and_then(|()| fs.sync_dir()).map_err(context)?;
    }
    let leaders_byte = memory
        .as_ref()
        .map(|_| leaders_byte(&state, epoch))
        .transpose()?;
    faults::point("byte-taken");
    let lock = match memory {
        Some(_) => match own_lock.change(lock, lower)? {
            Some(lock) => lock,
            None => return Ok(None),
        },
        None => lock,
    };
    faults::point("lowered");
    let mut in_force = options.engine.clone();
    in_force.compression = engine.compression().number();
    let member = Member {
        dropped: engine.recovered().dropped.clone(),
        founder: true,
        created: engine.recovered().created,
        engine,
        state,
        memory,
        files: fs,
        epoch,
        stay,
        options: in_force,
        ending,
        _byte: byte,
        lock,
    };
    Ok(Some(Founder {
        member: Arc::new(member),
        byte: leaders_byte,
        leadership,
    }))
}

/// Opens the engine as the segment's first member, or alone where nothing can be shared.
fn open_engine(
    first: Option<(Membership, ByteLock)>,
    fs: Arc<dyn Fs>,
    options: level_party_engine::Options,
) -> Result<(Engine, Option<ByteLock>)> {
    let (engine, byte) = match first {
        Some((membership, byte)) => (Engine::found(fs, options, membership), Some(byte)),
        None => (Engine::open(fs, options), None),
    };
    Ok((engine.map_err(Error::engine)?, byte))
}

/// What the first member of a segment is known by.
fn first_member(
    state: &Arc<StateFile>,
    memory: &Arc<Memory>,
    epoch: Epoch,
) -> Result<(Membership, ByteLock)> {
    let founding = u32::try_from(epoch.number).map_err(|_| {
        Error::new(
            ErrorKind::Busy,
            "the database was opened by a first process too often for this version to count",
        )
    })?;
    let liveness = Liveness::new(state.file(), memory);
    let incarnation = first_incarnation(founding);
    let byte = liveness.take(incarnation);
    let byte = byte.map_err(|error| Error::io("cannot lock a byte of level-party.state", error))?;
    let byte = byte.ok_or_else(|| Error::protocol("a new member's byte is locked"))?;
    let peers: Arc<dyn Peers> = Arc::new(liveness);
    let membership = Membership {
        segment: memory.clone(),
        peers,
        incarnation,
    };
    Ok((membership, byte))
}

fn leaders_byte(state: &StateFile, epoch: Epoch) -> Result<ByteLock> {
    let taken = ByteLock::try_lock(state.file(), leader_byte(epoch));
    let taken = taken.map_err(|error| Error::io("cannot lock the leader's byte", error))?;
    taken.ok_or_else(|| Error::protocol("a new epoch's leader's byte is locked"))
}

/// Lets others in. `None`: another program got the directory in between.
fn lower(lock: Arc<Lock>) -> Result<Option<Lock>> {
    let lock = match Arc::try_unwrap(lock) {
        Ok(Lock::Alone(lock)) => lock,
        Ok(shared) => return Ok(Some(shared)),
        // Nobody else has it but to look at it.
        Err(_) => return Err(Error::protocol("the directory's lock is in use")),
    };
    match lock.lower() {
        Ok(lock) => Ok(Some(Lock::Shared(lock))),
        Err(LowerError::Lost) => Ok(None),
        Err(LowerError::Io(error)) => Err(Error::io("cannot let other processes in", error)),
    }
}
