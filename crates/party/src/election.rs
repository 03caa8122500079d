//! The elector: one thread a node that makes this process a member of its directory, and leads where nobody else does, until
//! the node closes.
//!
//! Outside of a segment, one attempt: connect, and join whoever serves the endpoint; if nobody does, try `LOCK`, and found; if
//! somebody has it, wait a little. Inside, one attempt: try the leader's byte, and lead; if somebody has it, connect, so that
//! his end is seen. A lock is never stolen: whoever is stopped or slow is waited for, with its name in the error of those whose
//! time ends meanwhile. Reads and commits of a member go on, whoever leads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use level_party_engine::{CondemnReason, with_descriptors};
use level_party_locks::Mutex;
use level_party_os::{ByteLock, DirLock, Hangup, Holder, LockError, MemberLock, Stream};

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, connection_ended};
use crate::faults;
use crate::leader::Leadership;
use crate::member::{self, Founder, Invitation, Member};
use crate::node::Node;
use crate::options::Lead;
use crate::place::{KnownLeader, Trouble};
use crate::protocol::Hello;
use crate::registry;
use crate::state_file::{self, door_byte, leader_byte};
use crate::trace;

mod greeting;

/// Endpoints of libraries for Node that let processes share a database, with one that answers for the others.
const NODE_LIBRARIES: [(&str, &str); 2] = [
    ("level-party.sock", "Node's level-party 5 or older"),
    ("rave-level.sock", "Node's rave-level"),
];
/// The first pause between attempts. The end of a dead leader's connections can be seen some milliseconds before
/// its byte is free, so the first pauses are short.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// A stay shorter than this does not begin the pauses anew.
const SHORT_STAY: Duration = Duration::from_millis(100);
/// The pause after a stay or a leadership that could not go on.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// How long a process that gave leadership up waits for another to take it before it stands again. A member that
/// can run takes it within milliseconds.
const YIELD_PATIENCE: Duration = Duration::from_secs(1);
/// How long a member waits for each part of a greeting.
const GREETING: Duration = Duration::from_secs(1);
/// How often a member that follows lets go of files that are not needed any more.
const FILES_LOOK: Duration = Duration::from_secs(30);
/// How often who keeps the door looks whether somebody leads.
const DOOR_LOOK: Duration = Duration::from_secs(1);

/// A node with its thread, and the number of handles that keep it.
pub(crate) struct Elector {
    node: Arc<Node>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Changed under the registry's lock only.
    handles: AtomicUsize,
    created: Arc<AtomicBool>,
}

impl Elector {
    /// Starts a node's thread. One handle keeps it.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(node: Arc<Node>) -> Result<Arc<Self>> {
        let created = Arc::new(AtomicBool::new(false));
        let seat = Seat {
            node: node.clone(),
            created: created.clone(),
            pause: FIRST_PAUSE,
            yielded: None,
            failed: None,
            served: false,
            locked_out: false,
        };
        let thread = std::thread::Builder::new()
            .name("level-party-elector".into())
            .spawn(move || seat.run_guarded())
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(Arc::new(Elector {
            node,
            thread: Mutex::new(Some(thread)),
            handles: AtomicUsize::new(1),
            created,
        }))
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Whether this node created the database. True once, for the handle that did it.
    pub fn created_here(&self) -> bool {
        self.created.swap(false, Ordering::AcqRel)
    }

    /// One more handle, under the registry's lock.
    pub fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One handle less, under the registry's lock. True: it was the last.
    pub fn remove_handle(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// A handle was closed. With the last one the node leaves the directory: before this returns, if the handle was
    /// ever `opened`; one that gave up waiting does not wait for the leaving either.
    ///
    /// In a forked child nothing is left: the directory is the parent's.
    pub fn handle_closed(self: &Arc<Self>, opened: bool) {
        if !self.node.is_forked() && registry::leave(self) {
            self.node.begin_closing();
            if !opened {
                return;
            }
            let thread = self.thread.lock().take();
            // The thread itself comes here where the waker of a task drops the last handle: it leaves after that.
            let other =
                |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
            if let Some(thread) = thread.filter(other) {
                // A panic in it has been reported by the panic hook; there is nothing left to leave.
                let _ = thread.join();
            }
        }
    }
}

/// The elector thread's own state.
struct Seat {
    node: Arc<Node>,
    created: Arc<AtomicBool>,
    pause: Duration,
    /// This process gave leadership up, and does not stand for it again until then, or until somebody else led.
    yielded: Option<Instant>,
    /// Why the last attempt to join came to nothing: told beside how far the present one is, so that a deadline in the
    /// middle of an attempt hides no cause.
    failed: Option<String>,
    /// This node has been a member: it is open.
    served: bool,
    /// It was found out who is in the way of the present attempts.
    locked_out: bool,
}

/// What this process is among the members.
enum Role {
    /// Somebody else leads, who is at the other end.
    Follower {
        stream: Arc<Stream>,
        leader: KnownLeader,
    },
    Leader(Arc<Leadership>),
    /// Nobody leads, and this process answers those who would join.
    Door(Arc<Leadership>, u64),
    /// It is to find out who leads, or to become it.
    Seeking,
}

/// Why an attempt ended outside.
enum Obstacle {
    /// It may pass by itself.
    Passing(Trouble),
    /// This process can't serve or be served here.
    Lasting(Error),
}

impl Seat {
    /// A bug here must not leave handles that wait for ever.
    fn run_guarded(self) {
        let node = self.node.clone();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run())).is_err() {
            node.fail(Error::new(
                ErrorKind::Io,
                "level-party's own thread panicked: this is a bug",
            ));
        }
    }

    fn run(mut self) {
        loop {
            self.node.alarm.hear();
            if self.node.is_closing() {
                break;
            }
            match self.attempt() {
                Ok((member, role)) => {
                    self.served = true;
                    self.failed = None;
                    self.locked_out = false;
                    let begun = Instant::now();
                    self.stay(member, role);
                    match begun.elapsed() < SHORT_STAY {
                        true => self.rest(self.pause),
                        false => self.pause = FIRST_PAUSE,
                    }
                }
                Err(Obstacle::Lasting(error)) if !self.served => {
                    self.node.fail(error);
                    break;
                }
                Err(Obstacle::Lasting(error)) => {
                    self.trouble(error.message().to_string(), Some(error.kind()));
                    self.rest(FAILURE_PAUSE);
                }
                Err(Obstacle::Passing(trouble)) => {
                    if self.pause >= LONGEST_PAUSE {
                        self.be_locked_out(&trouble);
                    }
                    self.node.place.set_trouble(trouble);
                    self.rest(self.pause);
                }
            }
        }
        self.node.place.close();
        if faults::planted("unlink-by-follower") {
            let _ = std::fs::remove_file(self.node.path.join(level_party_os::ENDPOINT_NAME));
        }
    }

    /// Something is in the way that a status is to tell of, too.
    fn trouble(&self, what: String, kind: Option<ErrorKind>) {
        self.tell_trouble(what.clone());
        self.node.place.set_trouble(Trouble {
            what,
            kind,
            ..Trouble::default()
        });
    }

    fn tell_trouble(&self, what: String) {
        self.node.events.tell(Event::Trouble { what });
    }

    /// An attempt came to nothing. One that lasts until the pauses have grown is told, if another program is in the way.
    fn be_locked_out(&mut self, trouble: &Trouble) {
        let is_new = !std::mem::replace(&mut self.locked_out, true);
        if !is_new || !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        let told = trouble.told.as_ref().map(|tell| tell());
        let trouble = told.as_ref().unwrap_or(trouble);
        if trouble.kind == Some(ErrorKind::Locked) {
            let error = Error::new(ErrorKind::Locked, trouble.what.clone());
            trace::locked_out(self.node.events.dir(), &error);
        }
    }

    /// Becomes a member.
    fn attempt(&mut self) -> std::result::Result<(Arc<Member>, Role), Obstacle> {
        use std::io::ErrorKind as K;
        match with_descriptors(|| Stream::connect(&self.node.dir)) {
            Ok(stream) => self.join(stream),
            Err(error) if matches!(error.kind(), K::NotFound | K::ConnectionRefused) => {
                self.failed = None;
                self.found()
            }
            Err(error) if matches!(error.kind(), K::PermissionDenied | K::AlreadyExists) => Err(
                Obstacle::Lasting(Error::io("cannot use the directory's endpoint", error)),
            ),
            Err(error) => {
                let what = format!("connecting to the leader failed: {error}");
                self.tell_trouble(what.clone());
                Err(passing(what))
            }
        }
    }

    /// Somebody serves the endpoint: become one of the members.
    fn join(&mut self, stream: Stream) -> std::result::Result<(Arc<Member>, Role), Obstacle> {
        let node = self.node.clone();
        let stream = Arc::new(stream);
        let pid = stream.peer().ok().and_then(|peer| peer.pid);
        let trouble = |what: &str| Trouble {
            what: what.into(),
            pid,
            ..Trouble::default()
        };
        let silent = "the leader has not greeted this process yet";
        node.place.set_trouble(match &self.failed {
            Some(before) => trouble(&format!("{silent}; the attempt before: {before}")),
            None => trouble(silent),
        });
        // Before the segment is asked for: else the last member may die meanwhile, C++ LevelDB write, and this process
        // go on with what was before.
        let lock = match MemberLock::try_join(&node.dir) {
            Ok(lock) => lock,
            Err(error) => return Err(self.not_locked(error)),
        };
        if !node.begin_handshake(&stream) {
            return Err(passing("the handle is closing".into()));
        }
        let greeted = greeting::greet(&stream, &node.dir, self.hello(None), None);
        node.end_handshake();
        let (welcome, handles) = match greeted {
            Ok(greeted) => greeted,
            // The endpoint came along when its directory was copied or linked: nobody serves this one.
            Err(error) if error.kind() == ErrorKind::InvalidArgument => {
                drop(lock);
                return self.found();
            }
            Err(error) => return Err(self.not_joined(error, pid)),
        };
        let leader = welcome.leadership.map(|leadership| KnownLeader {
            pid: welcome.pid,
            leadership,
        });
        let invitation = Invitation {
            welcome,
            handles,
            lock,
        };
        let stay = node.place.next_stay();
        match member::join(&node.dir, invitation, &node.options, &node.alarm, stay) {
            Ok(member) => {
                let role = match leader {
                    Some(leader) => Role::Follower { stream, leader },
                    None => Role::Seeking,
                };
                Ok((member, role))
            }
            Err(error) => Err(self.not_joined(error, pid)),
        }
    }

    fn hello(&self, member_of: Option<crate::epoch::Epoch>) -> Hello {
        Hello {
            pid: std::process::id(),
            may_lead: self.node.options.lead == Lead::Auto,
            member_of,
        }
    }

    fn not_joined(&mut self, error: Error, pid: Option<u32>) -> Obstacle {
        match error.kind() {
            ErrorKind::IncompatibleVersion
            | ErrorKind::InvalidArgument
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied => Obstacle::Lasting(error),
            kind => {
                let what = format!("joining the processes that have it open failed: {error}");
                self.failed = Some(what.clone());
                Obstacle::Passing(Trouble {
                    what,
                    pid,
                    kind: (kind == ErrorKind::Busy).then_some(kind),
                    ..Trouble::default()
                })
            }
        }
    }

    /// Nobody serves the endpoint: found, if the lock is free.
    fn found(&mut self) -> std::result::Result<(Arc<Member>, Role), Obstacle> {
        let node = self.node.clone();
        if !self.served {
            node.check_not_foreign().map_err(Obstacle::Lasting)?;
        }
        if let Err(error) = node.check_database_exists() {
            return Err(self.no_database(error));
        }
        match node.options.lead {
            Lead::Auto => {}
            Lead::Join => {
                // With the lock in hand it is certain that nobody has the database open; the lock goes at once.
                drop(self.lock()?);
                return Err(Obstacle::Lasting(Error::new(
                    ErrorKind::NoLeader,
                    format!(
                        "nobody leads {}: no process has it open",
                        node.path.display()
                    ),
                )));
            }
            Lead::Never => {
                return Err(passing(
                    "no other process has it open, and this one is set never to lead".into(),
                ));
            }
        }
        let lock = self.lock()?;
        node.place.set_trouble(Trouble {
            what: "this process is recovering the database".into(),
            ..Trouble::default()
        });
        // To open it anew is no opening: nobody is turned away for the compression that an earlier epoch had.
        let only_reads = node.options.reject_writes || self.served;
        let options = node.options.clone().reject_writes(only_reads);
        let stay = node.place.next_stay();
        let founded = member::found(&node.dir, &node.path, lock, &options, &node.alarm, stay);
        let Some(founder) = founded.map_err(Obstacle::Lasting)? else {
            return Err(passing(
                "another program took the directory's lock in the middle of this opening".into(),
            ));
        };
        let Founder {
            member,
            byte,
            leadership,
        } = founder;
        if member.created() {
            self.created.store(true, Ordering::Release);
        }
        match Leadership::begin(&node.dir, &member, Some(leadership), byte, &node.alarm) {
            Ok(leadership) => Ok((member, Role::Leader(leadership))),
            Err(error) => {
                member.leave();
                Err(Obstacle::Lasting(error.cannot_open(&node.path)))
            }
        }
    }

    /// A stay, until it is over or the node closes.
    fn stay(&mut self, member: Arc<Member>, mut role: Role) {
        let node = self.node.clone();
        let leader = match &role {
            Role::Follower { leader, .. } => Some(*leader),
            Role::Leader(leadership) => leadership.known(),
            Role::Door(..) | Role::Seeking => None,
        };
        node.place.enter(&member, leader);
        let founding = member.epoch().number;
        trace::joined(node.events.dir(), founding, member.engine().members().len());
        let losses = member.engine().losses();
        if !losses.is_empty() {
            node.events.tell(Event::Losses { losses });
        }
        while !node.is_closing() && !member.is_over() {
            role = match role {
                Role::Follower { stream, leader } => self.follow(&member, &stream, leader),
                Role::Leader(leadership) => self.lead(&member, leadership),
                Role::Door(door, term) => self.keep_door(&member, door, term),
                Role::Seeking => self.seek(&member),
            };
        }
        match node.is_closing() {
            true => node.place.close(),
            false => node.place.leave(),
        }
        if let Role::Leader(leadership) | Role::Door(leadership, _) = role {
            leadership.stop();
        }
        if member.is_over() && !node.is_closing() {
            let mut what = "this process can't write to the directory any more".to_string();
            let mut kind = ErrorKind::Io;
            if let Some(cause) = member.failure() {
                what = format!("{what}: {cause}");
                kind = cause.kind();
            } else {
                let reason = member.engine().condemned();
                if !matches!(reason, None | Some(CondemnReason::Superseded)) {
                    what =
                        "the memory that the processes share contradicts itself; it is opened anew"
                            .into();
                }
                trace::fenced(node.events.dir(), founding, fenced_by(reason));
            }
            self.trouble(what, Some(kind));
        }
        member.leave();
        trace::left(node.events.dir(), founding);
    }

    fn follow(&mut self, member: &Member, stream: &Stream, leader: KnownLeader) -> Role {
        let node = &self.node;
        let KnownLeader {
            pid: leader_pid,
            leadership: epoch,
        } = leader;
        self.yielded = None;
        self.pause = FIRST_PAUSE;
        node.place.led_by(Some(leader));
        node.events.tell(Event::Attached { leader_pid, epoch });
        loop {
            node.alarm.hear();
            if node.is_closing() || member.is_over() {
                break;
            }
            match stream.wait_hangup_within(node.alarm.waker(), FILES_LOOK) {
                Ok(Some(Hangup::Woken)) => {}
                Ok(None) => member.engine().let_go_of_files(),
                Ok(Some(Hangup::PeerGone)) | Err(_) => break,
            }
        }
        node.place.led_by(None);
        if !node.is_closing() && !member.is_over() {
            let what = connection_ended(leader_pid);
            node.place.set_trouble(Trouble {
                what,
                ..Trouble::default()
            });
        }
        node.events.tell(Event::LeaderLost { leader_pid, epoch });
        Role::Seeking
    }

    /// Finds out who leads, or becomes it. One attempt.
    fn seek(&mut self, member: &Arc<Member>) -> Role {
        let waits = self.yielded.is_some_and(|until| Instant::now() < until);
        let may_lead = self.node.options.lead == Lead::Auto && !waits;
        if may_lead {
            match member.try_leaders_byte() {
                Ok(Some(byte)) => return self.take_over(member, byte),
                Ok(None) => {}
                Err(error) => {
                    let what = format!("cannot lock the leader's byte: {error}");
                    self.tell_trouble(what);
                }
            }
        }
        match self.reconnect(member) {
            Some(role) => return role,
            None if !may_lead && !waits && self.pause >= LONGEST_PAUSE => {
                if let Some((door, term)) = self.take_door(member) {
                    return Role::Door(door, term);
                }
            }
            None => {}
        }
        self.rest(self.pause);
        Role::Seeking
    }

    /// Connects to whoever leads by now. `None`: nobody serves the endpoint, or only one who keeps the door.
    fn reconnect(&mut self, member: &Member) -> Option<Role> {
        let node = self.node.clone();
        let stream = with_descriptors(|| Stream::connect(&node.dir)).ok()?;
        let stream = Arc::new(stream);
        if !node.begin_handshake(&stream) {
            return None;
        }
        // Whoever serves may be stopped; then others may come to lead, this member too.
        let hello = self.hello(Some(member.epoch()));
        let greeted = greeting::greet(&stream, &node.dir, hello, Some(GREETING));
        node.end_handshake();
        let (welcome, _) = greeted.ok()?;
        if welcome.epoch != member.epoch() {
            // The directory was opened anew without this process: its own epoch word tells the same.
            member.end();
            return None;
        }
        let leader = KnownLeader {
            pid: welcome.pid,
            leadership: welcome.leadership?,
        };
        Some(Role::Follower { stream, leader })
    }

    /// Leads in the living segment.
    fn take_over(&mut self, member: &Arc<Member>, byte: ByteLock) -> Role {
        faults::point("byte-taken");
        let node = self.node.clone();
        let led = member.succeed().and_then(|number| {
            Leadership::begin(&node.dir, member, Some(number), Some(byte), &node.alarm)
        });
        match led {
            Ok(leadership) => Role::Leader(leadership),
            Err(error) => {
                let what = format!("this process could not take leading over: {error}");
                self.trouble(what, None);
                if !member.is_over() {
                    self.rest(FAILURE_PAUSE);
                }
                Role::Seeking
            }
        }
    }

    fn lead(&mut self, member: &Member, leadership: Arc<Leadership>) -> Role {
        let node = self.node.clone();
        let number = leadership.number().unwrap_or_default();
        self.yielded = None;
        self.pause = FIRST_PAUSE;
        node.set_leadership(&leadership);
        node.place.led_by(leadership.known());
        node.events.tell(Event::Elected { epoch: number });
        let failure = loop {
            node.alarm.hear();
            if let Some(error) = member.take_end_of_leading() {
                break Some(error);
            }
            if node.is_closing() || member.is_over() || leadership.is_yielding() {
                break None;
            }
            node.alarm.wait(None);
        };
        node.clear_leadership();
        if !node.is_closing() {
            node.place.led_by(None);
        }
        leadership.stop();
        let failed = failure.is_some() || member.is_over();
        node.events.tell(Event::SteppedDown {
            epoch: number,
            failed,
        });
        if leadership.is_yielding() {
            self.yielded = Some(Instant::now() + YIELD_PATIENCE);
        }
        if let Some(error) = failure {
            let what = format!("leadership {number} of this process could not go on: {error}");
            self.trouble(what, Some(error.kind()));
            self.yielded = Some(Instant::now() + FAILURE_PAUSE);
        }
        Role::Seeking
    }

    /// Answers those who would join, where nobody is left that may lead. With the door comes the number of leaderships there
    /// were.
    fn take_door(&self, member: &Arc<Member>) -> Option<(Arc<Leadership>, u64)> {
        // Held until the endpoint is bound: nobody begins to lead and binds it meanwhile.
        let _nobody_leads = member.try_leaders_byte().ok().flatten()?;
        let byte = ByteLock::try_lock(member.state().file(), door_byte(member.epoch()));
        let byte = byte.ok().flatten()?;
        let (dir, alarm) = (&self.node.dir, &self.node.alarm);
        let door = Leadership::begin(dir, member, None, Some(byte), alarm).ok()?;
        Some((door, member.engine().term()))
    }

    /// Until somebody leads, or has led meanwhile: a leader, dead by now or not, has replaced the endpoint.
    fn keep_door(&mut self, member: &Member, door: Arc<Leadership>, term: u64) -> Role {
        let node = &self.node;
        trace::door_kept(node.events.dir(), member.epoch().number);
        loop {
            node.alarm.hear();
            let is_led = ByteLock::is_locked(member.state().file(), leader_byte(member.epoch()));
            let was_led = member.engine().term() != term;
            if node.is_closing() || member.is_over() || was_led || !matches!(is_led, Ok(false)) {
                break;
            }
            node.alarm.wait(Some(DOOR_LOOK));
        }
        door.stop();
        Role::Seeking
    }

    /// What to say where `CURRENT` is missing. Whoever destroys or repairs the database right now holds the lock.
    fn no_database(&self, error: Error) -> Obstacle {
        if error.kind() != ErrorKind::Corruption || !self.node.has_lock_file() {
            return Obstacle::Lasting(error);
        }
        match self.lock() {
            Err(obstacle) => obstacle,
            Ok(_lock) => match self.node.check_database_exists() {
                Err(error) => Obstacle::Lasting(error),
                Ok(()) => passing("the database was just repaired".into()),
            },
        }
    }

    /// Takes the directory's lock, if it is free.
    fn lock(&self) -> std::result::Result<DirLock, Obstacle> {
        match DirLock::try_acquire(&self.node.dir) {
            Ok(lock) => Ok(lock),
            // Members let members in.
            Err(LockError::Held(lock)) if MemberLock::try_join(&self.node.dir).is_ok() => {
                Err(Obstacle::Passing(Trouble {
                    told: Some(Arc::new(move || leaderless(&lock.holder()))),
                    ..Trouble::default()
                }))
            }
            Err(error) => Err(self.not_locked(error)),
        }
    }

    fn not_locked(&self, error: LockError) -> Obstacle {
        let path = self.node.path.clone();
        match error {
            LockError::Held(lock) => Obstacle::Passing(Trouble {
                told: Some(Arc::new(move || held_by(&lock.holder(), &path))),
                ..Trouble::default()
            }),
            LockError::Io(error) => Obstacle::Lasting(Error::refused(&path, error)),
        }
    }

    /// Pauses between attempts, longer each time; only closing ends a pause early.
    fn rest(&mut self, pause: Duration) {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        // What rang during the attempt was about the attempt.
        self.node.alarm.hear();
        if !self.node.is_closing() {
            self.node.alarm.wait(Some(jittered(pause)));
        }
    }
}

/// What to say of a lock that members share, while none of them leads.
fn leaderless(holder: &Holder) -> Trouble {
    let what = "processes that have it open have no leader that can be reached; one of them";
    Trouble {
        what: what.into(),
        pid: holder.pid,
        ..Trouble::default()
    }
}

/// What to say of a lock whose holder serves no endpoint.
fn held_by(holder: &Holder, path: &Path) -> Trouble {
    // In this process it is another LevelDB library: our own node would serve, or has left.
    if let Some(known) = state_file::known(path)
        && let Some(pid) = holder.pid.filter(|pid| *pid != std::process::id())
        && [known.leader_pid, known.founder_pid].contains(&pid)
    {
        let (what, kind) = match known.alone {
            Some(why) if known.leader_pid == pid => {
                let what = "a process has it open alone, because it could not make memory to share";
                (format!("{what} ({why})"), Some(ErrorKind::Locked))
            }
            _ => ("a process is opening it, or leaving".to_string(), None),
        };
        return Trouble {
            what,
            pid: holder.pid,
            kind,
            ..Trouble::default()
        };
    }
    let mut what = format!(
        "{} is locked by {holder}, which does not answer as a party member; close that program",
        path.display()
    );
    // Left over, it says nothing; beside a lock that is held it may.
    if let Some((name, library)) = NODE_LIBRARIES
        .iter()
        .find(|(name, _)| path.join(name).exists())
    {
        what += &format!(
            " ({name} is there: it may use {library}, which shares a database in another way)"
        );
    }
    Trouble {
        what,
        kind: Some(ErrorKind::Locked),
        ..Trouble::default()
    }
}

/// Why a stay is over whose own writing has not failed.
fn fenced_by(reason: Option<CondemnReason>) -> &'static str {
    match reason {
        None | Some(CondemnReason::Superseded) => "another epoch has the directory",
        Some(CondemnReason::Damaged) => "the shared memory contradicts itself",
        Some(_) => "a member asked for it",
    }
}

fn passing(what: String) -> Obstacle {
    Obstacle::Passing(Trouble {
        what,
        ..Trouble::default()
    })
}

/// Between half and all of `pause`, so that many members of one dead leader do not knock in step.
fn jittered(pause: Duration) -> Duration {
    let random = crate::epoch::random_words().map_or(0, |[word, _]| word as u32);
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
