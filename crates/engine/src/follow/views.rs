//! [`Views`]: the view that the control page names, made when it is asked for and kept until another one is named.
//!
//! Promises: a view that is given shows everything that was published before it was asked for; asking costs two loads as
//! long as nothing changed. The leader's process hands over the versions that it publishes; any other version is read
//! from its manifest.
//! Must not know: who reads, or why a version was made.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use level_party_format::Sequence;
use level_party_locks::Mutex;
use level_party_memtable::MemTable;

use crate::base::control::{REGIONS, VersionRecord, ViewWord};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::member::Member;
use crate::base::steps::step;
use crate::follow::manifest_follower::ManifestFollower;
use crate::read::files::Tables;
use crate::read::seek_compaction::TellWorn;
use crate::read::version::Version;
use crate::read::view::{Frozen, Parts, View};
use crate::read::view_source::ViewSource;

/// A version as this process has it open.
#[derive(Clone)]
pub(crate) struct OpenVersion {
    /// Its counter.
    pub(crate) counter: u32,
    pub(crate) version: Arc<Version>,
}

/// The views of a member.
pub(crate) struct Views {
    member: Arc<Member>,
    tables: Arc<Tables>,
    /// Another member removes tables, now or once it leads, and does not know of those that are read here.
    follows: bool,
    newest: ArcSwap<View>,
    /// Guards the making of views, too.
    versions: Mutex<Versions>,
}

/// The versions that this process has open.
struct Versions {
    /// That of the newest view, and those that are about to be named, by counter.
    open: VecDeque<OpenVersion>,
    follower: ManifestFollower,
}

impl Versions {
    /// The version of this record.
    fn open(&mut self, record: &VersionRecord) -> Result<OpenVersion> {
        let counter = record.counter;
        if let Some(open) = self.open.iter().find(|open| open.counter == counter) {
            return Ok(open.clone());
        }
        let followed = OpenVersion {
            counter,
            version: self.follower.follow(record)?,
        };
        let later = self
            .open
            .iter()
            .position(|open| is_before(counter, open.counter));
        self.open
            .insert(later.unwrap_or(self.open.len()), followed.clone());
        Ok(followed)
    }

    /// Closes those that were named before this one.
    fn close_before(&mut self, counter: u32) {
        self.open.retain(|open| !is_before(open.counter, counter));
    }
}

/// Tells the leader of tables that this member's reads have made worth compacting.
fn tell_worn(member: &Arc<Member>) -> TellWorn {
    // The version that tells may be kept for longer than the member.
    let member = Arc::downgrade(member);
    Arc::new(move |number| {
        if let Some(member) = member.upgrade() {
            member.tell_worn(number);
        }
    })
}

/// The order of counters, which wrap.
fn is_before(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) < 0
}

impl Views {
    /// The views of a member that has this version open, which the control page names. `alone`: no other one will lead.
    pub(crate) fn new(
        member: &Arc<Member>,
        tables: &Arc<Tables>,
        version: OpenVersion,
        alone: bool,
    ) -> Result<Views> {
        Views::begin(member, tables, Some(version), !alone)
    }

    /// The views of a member that does not lead, which reads each version from its manifest.
    ///
    /// # Errors
    /// What keeps the view that is named now from being made, as of [`ManifestFollower::follow`].
    pub(crate) fn following(member: &Arc<Member>, tables: &Arc<Tables>) -> Result<Views> {
        Views::begin(member, tables, None, true)
    }

    fn begin(
        member: &Arc<Member>,
        tables: &Arc<Tables>,
        leads_at: Option<OpenVersion>,
        follows: bool,
    ) -> Result<Views> {
        let open = VecDeque::from_iter(leads_at);
        let follower = ManifestFollower::new(tables, tell_worn(member));
        let mut versions = Versions { open, follower };
        let view = make(member, tables, &mut versions, None)?;
        Ok(Views {
            member: Arc::clone(member),
            tables: Arc::clone(tables),
            follows,
            newest: ArcSwap::from_pointee(view),
            versions: Mutex::new(versions),
        })
    }

    /// The view that is named now.
    ///
    /// # Errors
    /// What keeps it from being made.
    #[inline]
    pub(crate) fn load(&self) -> Result<Guard<Arc<View>>> {
        let newest = self.newest.load();
        if newest.word() == self.member.control.view() {
            return Ok(newest);
        }
        drop(newest);
        self.renew()?;
        Ok(self.newest.load())
    }

    /// The same, to be kept.
    pub(crate) fn load_full(&self) -> Result<Arc<View>> {
        self.load().map(Guard::into_inner)
    }

    /// Whether a view may become too old to be read while somebody has it.
    pub(crate) fn can_age(&self) -> bool {
        self.follows || self.member.segment.recycles()
    }

    /// Moments below it may be compacted away.
    pub(crate) fn horizon(&self) -> Sequence {
        self.member.control.horizon()
    }

    /// The view that was made last.
    pub(crate) fn made_last(&self) -> Arc<View> {
        self.newest.load_full()
    }

    /// Takes a version that is about to be named.
    pub(crate) fn expect(&self, version: OpenVersion) {
        self.versions.lock().open.push_back(version);
    }

    /// Makes the view that is named now, if it is another one than the last.
    #[cold]
    pub(crate) fn renew(&self) -> Result<()> {
        let mut versions = self.versions.lock();
        let last = self.newest.load_full();
        if last.word() == self.member.control.view() {
            return Ok(());
        }
        let view = make(&self.member, &self.tables, &mut versions, Some(&last))?;
        let old = self.newest.swap(Arc::new(view));
        drop(versions);
        // Outside of the lock: the last reader of a version wakes who removes its tables.
        drop((last, old));
        Ok(())
    }
}

impl Views {
    /// Reads the newest view, and again a newer one as long as the read finds out that its view is too old.
    #[inline]
    pub(crate) fn read<R>(&self, mut read: impl FnMut(&Arc<View>) -> Result<R>) -> Result<R> {
        loop {
            let view = self.load()?;
            step!(self.member.peers, Read);
            match read(&view) {
                Err(error) if self.has_newer(&view, &error) => {}
                Err(error) if error.kind() == ErrorKind::Stale => {
                    self.member.check_view(view.word())?;
                }
                answer => return answer,
            }
        }
    }
}

impl ViewSource for Views {
    fn newest_at(&self, sequence: Sequence) -> Result<Arc<View>> {
        self.read_at(sequence, |view| Ok(Arc::clone(view)))
    }

    fn has_newer(&self, view: &View, error: &Error) -> bool {
        error.may_be_stale() && self.member.control.view() != view.word()
    }
}

/// Makes the view that is named now. Of `versions` only its own and later ones are left.
fn make(
    member: &Member,
    tables: &Tables,
    versions: &mut Versions,
    last: Option<&View>,
) -> Result<View> {
    loop {
        let (word, record) = member.current_version()?;
        let open = match versions.open(&record) {
            Ok(open) => open,
            // The manifest may have gone because a newer version is in another one.
            Err(_) if member.control.view().version != word.version => continue,
            Err(error) => return Err(error),
        };
        let Some(parts) = parts(member, tables, open.version, last, word, record)? else {
            // Regions were used again meanwhile, so another view is named by now.
            member.check_view(word)?;
            continue;
        };
        versions.close_before(word.version);
        let recycles = member.segment.recycles();
        return Ok(View::new(&member.control, recycles, word, parts));
    }
}

fn parts(
    member: &Member,
    tables: &Tables,
    version: Arc<Version>,
    last: Option<&View>,
    word: ViewWord,
    record: VersionRecord,
) -> Result<Option<Parts>> {
    let known = |counter| {
        let mut memtables = last.into_iter().flat_map(View::memtables);
        memtables
            .find(|(its, _)| *its == counter)
            .map(|(_, mem)| mem.clone())
    };
    let open = |counter: u32| -> Result<Option<MemTable>> {
        if let Some(mem) = known(counter) {
            return Ok(Some(mem));
        }
        let Some(memory) = member.segment.region(counter) else {
            return Ok(None);
        };
        let opened = MemTable::open(memory, tables.comparator().clone());
        let is_current = member.control.published_in(counter).is_some();
        match (opened, is_current) {
            (_, false) => Ok(None),
            (Ok(mem), true) => Ok(Some(mem)),
            (Err(error), true) => Err(Error::corruption("a memtable", error)),
        }
    };
    let (Some(mem), Some(seen)) = (open(word.active)?, member.control.published_in(word.active))
    else {
        return Ok(None);
    };
    let mut frozen = Vec::new();
    let count = word.active.wrapping_sub(record.flushed);
    if !(1..=REGIONS).contains(&count) {
        let message = format!("the shared memory is damaged: {count} regions are not in tables");
        return Err(Error::new(ErrorKind::Corruption, message));
    }
    for back in 1..count {
        let counter = word.active.wrapping_sub(back);
        let (Some(mem), Some(mut last)) = (open(counter)?, member.control.published_in(counter))
        else {
            return Ok(None);
        };
        if planted!(FrozenUnclamped) {
            last = Sequence::MAX;
        }
        frozen.push(Frozen { mem, last });
    }
    Ok(Some(Parts {
        mem,
        seen,
        frozen,
        version,
        dead_ranges: last.map_or_else(Arc::default, |last| Arc::clone(last.dead_ranges())),
    }))
}

#[cfg(all(test, not(loom)))]
mod tests;
