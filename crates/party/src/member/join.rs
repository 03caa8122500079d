//! Joining: this process becomes one more member of a living segment (docs/SEGMENT.md, Joining).
//!
//! The caller has the member's locks and was answered by a member that serves; nothing of what that one said is believed that
//! can be looked at: the state file is opened anew by its name, and the sender's byte must be held as seen from there.

use std::sync::Arc;

use level_party_engine::{Engine, Membership, Peers, next_incarnation};
use level_party_os::{ByteLock, DataDir, MemberLock, OwnedHandle};

use super::owner::{OwnLock, Owner};
use super::{Ending, Lock, Member};
use crate::alarm::Alarm;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::files;
use crate::limits::Stay;
use crate::liveness::Liveness;
use crate::options::{Options, into_engine_options};
use crate::protocol::Welcome;
use crate::segment::Memory;
use crate::state_file::{MEMBERS_AT, StateFile};

/// What a process needs to join.
pub(crate) struct Invitation {
    pub welcome: Welcome,
    /// The segment's.
    pub handles: Vec<OwnedHandle>,
    pub lock: MemberLock,
}

/// Joins a segment.
///
/// # Errors
/// What keeps this process from it. All that it held is given back.
pub(crate) fn join(
    dir: &DataDir,
    invitation: Invitation,
    options: &Options,
    elector: &Arc<Alarm>,
    stay: Stay,
) -> Result<Arc<Member>> {
    let Invitation {
        welcome,
        handles,
        lock,
    } = invitation;
    let path = dir.anchored_path();
    let state = Arc::new(StateFile::join(&path, welcome.state_file, welcome.epoch)?);
    check_sender(&state, welcome.sender)?;
    let memory = Memory::from_handles(handles).map_err(unmapped)?;
    let liveness = Liveness::new(state.file(), &memory);
    let incarnation = next_incarnation(&*memory).map_err(Error::engine)?;
    check_epoch(incarnation, welcome.epoch)?;
    let byte = liveness.take(incarnation);
    let byte = byte.map_err(|error| Error::io("cannot lock a byte of level-party.state", error))?;
    let byte = byte.ok_or_else(|| Error::protocol("a new member's byte is locked"))?;
    faults::point("byte-taken");
    let ending = Ending::new(elector);
    let lock = Arc::new(Lock::Shared(lock));
    let own_lock = Arc::new(OwnLock::default());
    own_lock.set(&lock);
    let mut engine_options = into_engine_options(options, &welcome.options);
    engine_options.name = dir.path().to_string_lossy().into();
    engine_options.listener = Some(Arc::new(Owner {
        state: state.clone(),
        ending: ending.clone(),
        lock: own_lock,
        fills: options.fills,
    }));
    let fs = faults::files(files::open(&path, options));
    let peers: Arc<dyn Peers> = Arc::new(liveness);
    let membership = Membership {
        segment: memory.clone(),
        peers,
        incarnation,
    };
    let engine = Engine::join(fs.clone(), engine_options, membership);
    let engine = engine.map_err(Error::engine)?;
    let member = Member {
        engine,
        state,
        memory: Some(memory),
        files: fs,
        epoch: welcome.epoch,
        stay,
        options: welcome.options,
        dropped: welcome.dropped,
        founder: false,
        created: false,
        ending,
        _byte: Some(byte),
        lock,
    };
    // What came over the connection may be of a while ago.
    match member.may_answer() && !member.engine.is_condemned() {
        true => Ok(Arc::new(member)),
        false => Err(Error::new(
            ErrorKind::Io,
            "the database was opened anew by another process meanwhile",
        )),
    }
}

/// Whoever answered must live, as seen through this process's own opening of the file: else the file is another one than
/// the others', and everybody would look dead.
fn check_sender(state: &StateFile, sender: u64) -> Result<()> {
    let byte = sender.checked_add(MEMBERS_AT);
    let held = byte.map(|byte| ByteLock::is_locked(state.file(), byte));
    match held {
        Some(Ok(true)) => Ok(()),
        Some(Err(error)) => Err(Error::io(
            "cannot look at a lock of level-party.state",
            error,
        )),
        _ => Err(Error::new(
            ErrorKind::Io,
            "the process that serves the directory's endpoint has ended",
        )),
    }
}

fn check_epoch(incarnation: u64, epoch: Epoch) -> Result<()> {
    match incarnation >> 32 == epoch.number {
        true => Ok(()),
        false => Err(Error::protocol(
            "the shared memory is another epoch's than the process said that shares it",
        )),
    }
}

fn unmapped(error: level_party_os::SegmentError) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the memory that the processes of this database share cannot be used here: {error}"
        ),
    )
    .with_source(error)
}
