//! An engine as one of several members of a segment: founding, joining, leading.

use std::sync::Arc;
use std::thread;

use level_party_locks::Mutex;

use super::{Engine, Leader, Lifeline, open_tables, start};
use crate::base::bell::Bell;
use crate::base::control::{CondemnReason, Leading, MemberInfo, comparator_hash};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::Health;
use crate::base::member::{self, Member, Membership};
use crate::base::metrics::Metrics;
use crate::base::options::Options;
use crate::base::peers::Incarnation;
use crate::commit::active::ActiveRegion;
use crate::commit::shared::Shared;
use crate::commit::sync::Syncs;
use crate::commit::work::State;
use crate::commit::write::{Committer, WriteQueue};
use crate::follow::tail::Tails;
use crate::follow::views::Views;
use crate::lead::founding::Empty;
use crate::lead::opened::Recovered;
use crate::lead::succession;
use crate::read::snapshots::Snapshots;

impl Engine {
    /// Opens the database in a directory, or makes one, as the first member of a segment that nobody has used: its control
    /// page is all 0. It recovers into tables what the last opening left; after that other members may
    /// [join](Engine::join). The founder leads. The caller keeps all others out of the directory until then.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{
    ///     Engine, LocalPeers, MemFs, Membership, Options, Segment, Write, WriteBatch, first_incarnation, next_incarnation,
    /// };
    /// # use level_party_engine::{Region, SharedWords, region_of};
    /// # struct Words(Vec<std::sync::atomic::AtomicU64>);
    /// # impl SharedWords for Words { fn words(&self) -> &[std::sync::atomic::AtomicU64] { &self.0 } }
    /// # struct Memory(Arc<Words>);
    /// # const CONTROL: usize = 128 << 10;
    /// # const SLOT: usize = 1 << 20;
    /// # fn memory() -> Arc<dyn Segment> {
    /// #     let words = (0..(CONTROL + 4 * SLOT) / 8).map(|_| 0.into()).collect();
    /// #     Arc::new(Memory(Arc::new(Words(words))))
    /// # }
    /// # impl Segment for Memory {
    /// #     fn control(&self) -> Arc<dyn Region> { region_of(self.0.clone(), 0, CONTROL).unwrap() }
    /// #     fn prepare(&self, counter: u32, _: usize) -> std::io::Result<Arc<dyn Region>> { Ok(self.region(counter).unwrap()) }
    /// #     fn install(&self, _: u32, _: &Arc<dyn Region>) {}
    /// #     fn region(&self, counter: u32) -> Option<Arc<dyn Region>> {
    /// #         region_of(self.0.clone(), CONTROL + counter as usize % 4 * SLOT, SLOT)
    /// #     }
    /// #     fn retire(&self, _: u32) {}
    /// #     fn recycles(&self) -> bool { true }
    /// # }
    /// # let segment = memory();
    /// let fs = Arc::new(MemFs::new());
    /// let options = Options { write_buffer_size: 256 << 10, ..Options::default() };
    /// let member = |incarnation| Membership {
    ///     segment: Arc::clone(&segment),
    ///     peers: Arc::new(LocalPeers::default()),
    ///     incarnation,
    /// };
    /// let one = Engine::found(fs.clone(), options.clone(), member(first_incarnation(1)))?;
    /// let other = Engine::join(fs, options, member(next_incarnation(&*segment)?))?;
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"colour", b"green");
    /// other.write(Write::new(batch))?;
    /// assert_eq!(one.get(b"colour")?.unwrap().value, b"green");
    /// assert!(one.is_leading() && !other.is_leading());
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Engine::open`]; [`ErrorKind::InvalidArgument`] if the segment was used before, or the incarnation is not
    /// [a founder's](crate::first_incarnation).
    pub fn found(fs: Arc<dyn Fs>, options: Options, membership: Membership) -> Result<Engine> {
        Engine::found_in(fs, options, Empty::of(membership)?)
    }

    /// Joins the members of a segment that was [founded](Engine::found), in the same directory. The caller has taken the
    /// [incarnation](crate::next_incarnation), and the others see that it lives; somebody has kept every other program out
    /// of the directory since the founding. Options that are for recovery are not used, and the size of a memtable is the
    /// founder's.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the segment was not founded, or did not give the incarnation out;
    /// [`ErrorKind::ComparatorMismatch`]; [`ErrorKind::Busy`] if 1,024 members have the segment: the leader may
    /// [clear](Engine::clear_dead_members) those that are dead; [`ErrorKind::Condemned`]; or the system's error.
    pub fn join(fs: Arc<dyn Fs>, options: Options, membership: Membership) -> Result<Engine> {
        options.check()?;
        let control = member::founded(membership.segment.as_ref())?;
        if control.comparator() != comparator_hash(options.comparator.name()) {
            let message = format!(
                "the members of the database order its keys by another comparator than {}",
                options.comparator.name()
            );
            return Err(Error::new(ErrorKind::ComparatorMismatch, message));
        }
        if !control.has_given(membership.incarnation) {
            let message = "the number given is not one of this shared memory's members";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let options = Options {
            write_buffer_size: control.write_buffer() as usize,
            ..options
        };
        let health = Arc::new(Health::in_segment(
            &control,
            false,
            options.listener.clone(),
        ));
        let tables = open_tables(&fs, &options);
        let bell = Arc::new(Bell::new(&control, &membership.peers));
        let member = Arc::new(Member::join(control, membership, &options.name)?);
        let views = Views::following(&member, &tables)?;
        let syncs = Syncs::new(&fs, &member, &health, 0);
        let active = loop {
            let (order, logs) = (tables.comparator(), &syncs.logs);
            if let Some(active) = ActiveRegion::attach(&member, fs.as_ref(), logs, order)? {
                break active;
            }
            member.check_view(member.control.view())?;
        };
        let snapshots = Snapshots::new(&member, options.listener.clone());
        let tails = Tails::new(&fs, &member);
        let shared = Arc::new(Shared {
            fs,
            tables,
            health,
            snapshots,
            member,
            syncs,
            views: Arc::new(views),
            state: Mutex::new(State::new()),
            bell,
            metrics: Metrics::default(),
            tails,
            options,
        });
        let lifeline = Arc::new(Lifeline {
            shared: Arc::clone(&shared),
            queue: WriteQueue::new(Committer::new(active)),
            recovered: Recovered::default(),
            leader: Mutex::new(None),
        });
        Ok(Engine { shared, lifeline })
    }

    /// Begins to lead: to flush, compact and write the manifest. The caller sees to it that no other member leads, and none
    /// that did stores anything more. Reads and commits of all members go on meanwhile; nothing is recovered.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if it leads; [`ErrorKind::Condemned`], [`ErrorKind::Closed`]; what keeps the manifest
    /// from being written. After an error it does not lead.
    pub fn lead(&self) -> Result<()> {
        let mut leader = self.lifeline.leader.lock();
        self.shared.check_writable()?;
        if self.is_leading() {
            let message = "this member leads already";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if let Some(ended) = leader.take() {
            ended.join();
        }
        let health = Health::of_leadership(&self.shared.health);
        let begun = succession::succeed(&self.shared, &Arc::new(health))?;
        *leader = Some(start(begun)?);
        Ok(())
    }

    /// Ends this member's leading, if it leads, also after it [failed](crate::Listener::leadership_ended): on return its
    /// thread has ended, and another member may lead. A compaction under way is broken off; commits and reads go on. Not
    /// to be called by a [`Listener`](crate::Listener).
    pub fn stop_leading(&self) {
        self.lifeline.stop_leading();
    }

    /// Whether this member leads.
    pub fn is_leading(&self) -> bool {
        self.shared.state.lock().leads()
    }

    /// This member's number.
    pub fn incarnation(&self) -> Incarnation {
        self.shared.member.own
    }

    /// The member that leads, as the shared memory says; it may have died.
    pub fn leader(&self) -> Option<Incarnation> {
        Some(self.shared.member.control.leader()).filter(|leader| *leader != 0)
    }

    /// Whether this member will never store anything again, as far as the system knows.
    pub fn is_dead(&self, member: Incarnation) -> bool {
        self.shared.member.is_dead(member)
    }

    /// How many leaderships there were since the founding, that of the founder included.
    pub fn term(&self) -> u64 {
        self.shared.member.control.term()
    }

    /// All members, as the shared memory says, those that died and were not cleared yet too.
    pub fn members(&self) -> Vec<MemberInfo> {
        self.shared.member.control.members()
    }

    /// Gives the places of dead members free, for those who were told [`ErrorKind::Busy`].
    ///
    /// # Errors
    /// [`ErrorKind::NotLeading`]: only the leader does this; [`ErrorKind::Condemned`].
    pub fn clear_dead_members(&self) -> Result<()> {
        // Held, so that the leadership does not end meanwhile.
        let _leader = self.lifeline.leader.lock();
        self.check_leading()?;
        let leading = Leading::new(self.shared.member.control.clone());
        self.shared.snapshots.clear_dead(&leading);
        Ok(())
    }

    /// Ends the use of the segment by all its members, for good. Each call that comes after it, of every member, is answered
    /// with [`ErrorKind::Condemned`], those that wait too: they close their engines, and whoever is first founds anew from
    /// the files. An engine that was [opened](Engine::open) alone is not concerned.
    pub fn condemn(&self, reason: CondemnReason) {
        self.shared.condemn(reason);
    }

    /// Why the segment was [condemned](Engine::condemn), if it was.
    pub fn condemned(&self) -> Option<CondemnReason> {
        self.shared.member.control.condemned()
    }

    /// Whether anybody has [condemned](Engine::condemn) the segment.
    #[inline]
    pub fn is_condemned(&self) -> bool {
        self.shared.member.control.is_condemned()
    }
}

impl Leader {
    /// Waits for the end of its thread.
    fn join(self) {
        // A panic there has ended the leadership already.
        let _ = self.thread.join();
    }

    /// Whether this is its thread.
    fn is_this_thread(&self) -> bool {
        self.thread.thread().id() == thread::current().id()
    }
}

impl Lifeline {
    /// Ends the leading, and waits for that.
    pub(super) fn stop_leading(&self) {
        let mut leader = self.leader.lock();
        let Some(leads) = leader.take() else {
            return;
        };
        if leads.health.begin_close() {
            // Under the lock, so that nobody looks just before and sleeps just after.
            let _state = self.shared.state.lock();
            self.shared.bell.ring();
        }
        // The last handle may be dropped by a listener, on the leader's thread itself; it ends right after.
        if !leads.is_this_thread() {
            leads.join();
        }
    }
}
