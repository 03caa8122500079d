//! The elector: one thread a node that finds a leader, or becomes it, again and again until the node closes.
//!
//! One attempt: connect, and follow whoever serves the endpoint; if nobody does, try `LOCK`, and lead; if somebody
//! has it, wait a little. A lock is never stolen: a leader that is stopped or slow keeps its followers waiting, until
//! their deadlines, with its name in the error.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use level_party_engine::with_descriptors;
use level_party_os::{DirLock, Hangup, Holder, LockError, Stream};
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::events::Event;
use crate::faults;
use crate::follower::{Greeted, Link, Reception};
use crate::leader::Leadership;
use crate::node::Node;
use crate::options::Lead;
use crate::registry;
use crate::session::{Tenure, Trouble};
use crate::state;
use crate::status::{Opening, first_of};

/// The first pause between attempts. The end of a dead leader's connections can be seen some milliseconds before
/// its lock is free, so the first pauses are short.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// A tenure shorter than this, in which nothing was answered, does not begin the pauses anew.
const SHORT_TENURE: Duration = Duration::from_millis(100);
/// The pause after a leadership that could not go on, or a takeover that failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// How long a new leader answers its survivors before it writes what it recovered to tables, unless somebody needs that
/// sooner: both want the processors.
const UNSETTLED: Duration = Duration::from_millis(20);
/// How long a process that gave leadership up waits for another to take it before it stands again. A follower that can
/// run takes it within milliseconds.
const YIELD_PATIENCE: Duration = Duration::from_secs(1);

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
    /// Why the last attempt to follow came to nothing: told beside how far the present one is, so that a deadline in the
    /// middle of an attempt hides no cause.
    failed: Option<String>,
    /// This node has led or followed: it is open.
    served: bool,
}

/// How an attempt ended well.
enum Place {
    Follower {
        link: Arc<Link>,
        tenure: Tenure,
        epoch: u64,
    },
    Leader(Arc<Leadership>),
}

/// Why an attempt ended without a leader.
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
                Ok(place) => {
                    self.served = true;
                    self.yielded = None;
                    self.failed = None;
                    let begun = Instant::now();
                    match place {
                        Place::Follower {
                            link,
                            tenure,
                            epoch,
                        } => self.follow(&link, tenure, epoch),
                        Place::Leader(leadership) => self.lead(leadership),
                    }
                    // A leader that ends each connection at once is not asked again without a pause.
                    let in_vain = !self.node.session.was_answered();
                    match begun.elapsed() < SHORT_TENURE && in_vain {
                        true => self.rest(self.pause),
                        false => self.pause = FIRST_PAUSE,
                    }
                }
                Err(Obstacle::Lasting(error)) if !self.served => {
                    self.node.fail(error);
                    break;
                }
                Err(Obstacle::Lasting(error)) => {
                    self.node.session.note_trouble(error.message().to_string());
                    self.node.session.set_trouble(Trouble {
                        what: error.message().to_string(),
                        kind: Some(error.kind()),
                        ..Trouble::default()
                    });
                    self.rest(FAILURE_PAUSE);
                }
                Err(Obstacle::Passing(trouble)) => {
                    self.node.session.set_trouble(trouble);
                    self.rest(self.pause);
                }
            }
        }
        self.node.close();
        if faults::planted("unlink-by-follower") {
            let _ = std::fs::remove_file(self.node.path.join("level-party.sock"));
        }
    }

    fn attempt(&mut self) -> std::result::Result<Place, Obstacle> {
        use std::io::ErrorKind as K;
        match with_descriptors(|| Stream::connect(&self.node.dir)) {
            Ok(stream) => self.join(stream),
            Err(error) if matches!(error.kind(), K::NotFound | K::ConnectionRefused) => {
                self.failed = None;
                match self.yielded {
                    Some(until) if Instant::now() < until => Err(passing(
                        "this process gave leadership up, and another one is about to take it"
                            .into(),
                    )),
                    _ => self.stand(),
                }
            }
            Err(error) if matches!(error.kind(), K::PermissionDenied | K::AlreadyExists) => Err(
                Obstacle::Lasting(Error::io("cannot use the directory's endpoint", error)),
            ),
            Err(error) => {
                let what = format!("connecting to the leader failed: {error}");
                self.node.session.note_trouble(what.clone());
                Err(passing(what))
            }
        }
    }

    /// Somebody serves the endpoint: follow.
    fn join(&mut self, stream: Stream) -> std::result::Result<Place, Obstacle> {
        let node = &*self.node;
        let stream = Arc::new(stream);
        let pid = stream.peer().ok().and_then(|peer| peer.pid);
        let trouble = |what: &str| Trouble {
            what: what.into(),
            pid,
            ..Trouble::default()
        };
        let silent = "the leader has not greeted this process yet";
        node.session.set_trouble(match &self.failed {
            Some(before) => trouble(&format!("{silent}; the attempt before: {before}")),
            None => trouble(silent),
        });
        if !node.begin_handshake(&stream) {
            return Err(passing("the handle is closing".into()));
        }
        let place = node.member().place;
        let mut greeting = node.session.greeting(node.options.engine.clone(), place);
        greeting.hello.may_lead = node.options.lead == Lead::Auto;
        let met = Greeted::greet(
            stream,
            &node.dir,
            node.session.page(),
            greeting.hello.clone(),
        );
        let attached = met.and_then(|mut greeted| {
            loop {
                match greeted.next()? {
                    Reception::Recovering(again) => {
                        greeted = again;
                        node.session
                            .set_trouble(trouble("the new leader is still recovering"));
                    }
                    Reception::Welcome(link, welcome) => {
                        let link = Arc::new(link);
                        *node.differing_options.lock() =
                            node.options.engine.differences(&welcome.options);
                        node.leader_compression
                            .store(welcome.options.compression, Ordering::Release);
                        *node.opening.lock() = Opening {
                            losses: first_of(&welcome.losses),
                            ..Opening::default()
                        };
                        let tenure = node.session.attach(link.clone(), &greeting, &welcome)?;
                        return Ok(Place::Follower {
                            link,
                            tenure,
                            epoch: welcome.epoch.number,
                        });
                    }
                }
            }
        });
        node.end_handshake();
        match attached {
            Ok(place) => Ok(place),
            // The endpoint came along when its directory was copied or linked: nobody serves this one.
            Err(error) if error.kind() == ErrorKind::InvalidArgument => self.stand(),
            Err(error) if error.kind() == ErrorKind::IncompatibleVersion => {
                Err(Obstacle::Lasting(error))
            }
            Err(error) => {
                let what = format!("attaching to the leader failed: {error}");
                let told = trouble(&what);
                self.failed = Some(what);
                Err(Obstacle::Passing(told))
            }
        }
    }

    /// Nobody serves the endpoint: lead, if the lock is free.
    fn stand(&self) -> std::result::Result<Place, Obstacle> {
        let node = &*self.node;
        if !self.served {
            node.check_not_foreign().map_err(Obstacle::Lasting)?;
        }
        if let Err(error) = node.check_database_exists() {
            return Err(self.no_database(error));
        }
        match node.options.lead {
            Lead::Auto => {}
            // One that is about to take over would have done so while the pauses grew.
            Lead::Join if self.pause >= LONGEST_PAUSE => {
                // With the lock in hand it is certain; it goes at once.
                drop(self.lock()?);
                return Err(Obstacle::Lasting(Error::new(
                    ErrorKind::NoLeader,
                    format!(
                        "nobody leads {}: no process has it open",
                        node.path.display()
                    ),
                )));
            }
            Lead::Never | Lead::Join => {
                return Err(passing(
                    "nobody leads, and this process is set never to".into(),
                ));
            }
        }
        let lock = self.lock()?;
        node.session.set_trouble(Trouble {
            what: "this process is recovering the database".into(),
            ..Trouble::default()
        });
        let alarm = node.alarm.clone();
        let own = || node.member();
        // A takeover is no opening: nobody is turned away for the compression that an earlier leader had.
        let options = node.options.clone();
        let read_only = options.read_only || self.served;
        let options = options.read_only(read_only);
        let taken = Leadership::take_over(&node.dir, &node.path, lock, &options, alarm, &own);
        let leadership = taken.map_err(Obstacle::Lasting)?;
        if leadership.created() {
            self.created.store(true, Ordering::Release);
        }
        node.differing_options.lock().clear();
        node.leader_compression
            .store(leadership.compression(), Ordering::Release);
        *node.opening.lock() = leadership.opening();
        leadership.tell_trouble(node.session.last_trouble());
        match node.session.promote(leadership.clone()) {
            Ok(_) => {
                faults::point("promoted");
                Ok(Place::Leader(leadership))
            }
            Err(error) => {
                leadership.leave();
                Err(passing(format!("leading ended at once: {error}")))
            }
        }
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
            Err(LockError::Held(lock)) => {
                let path = self.node.path.clone();
                Err(Obstacle::Passing(Trouble {
                    told: Some(Arc::new(move || held_by(&lock.holder(), &path))),
                    ..Trouble::default()
                }))
            }
            Err(LockError::Io(error)) => {
                Err(Obstacle::Lasting(registry::refused(&self.node.path, error)))
            }
        }
    }

    fn tell_losses(&self) {
        let losses = self.node.opening.lock().losses.clone();
        if !losses.is_empty() {
            self.node.events.tell(Event::Losses { losses });
        }
    }

    fn follow(&self, link: &Link, tenure: Tenure, epoch: u64) {
        let leader_pid = link.leader_pid();
        self.node.events.tell(Event::Attached { leader_pid, epoch });
        self.tell_losses();
        while self.node.session.is_current(tenure) && !self.node.is_closing() {
            self.node.alarm.hear();
            if !self.node.session.is_current(tenure) || self.node.is_closing() {
                break;
            }
            match link.stream().wait_hangup(self.node.alarm.waker()) {
                Ok(Hangup::Woken) => {}
                Ok(Hangup::PeerGone) | Err(_) => self.node.session.lose(tenure),
            }
        }
        self.node
            .events
            .tell(Event::LeaderLost { leader_pid, epoch });
    }

    fn lead(&mut self, leadership: Arc<Leadership>) {
        let epoch = leadership.epoch().number;
        self.node.events.tell(Event::Elected { epoch });
        self.tell_losses();
        let mut settle_at = Some(Instant::now() + UNSETTLED);
        loop {
            self.node.alarm.hear();
            if self.node.is_closing() || leadership.is_over() || leadership.is_yielding() {
                break;
            }
            let due = self.node.session.relieve_driver();
            let now = Instant::now();
            if settle_at.is_some_and(|at| at <= now) {
                leadership.begin_settling();
                settle_at = None;
            }
            let until = |due: Option<Instant>| due.map(|due| due.saturating_duration_since(now));
            let waits = [leadership.tend(now), until(due), until(settle_at)];
            self.node.alarm.wait(waits.into_iter().flatten().min());
        }
        let failed = leadership.is_over();
        match self.node.is_closing() {
            true => self.node.close(),
            false => self.node.session.step_down(),
        }
        if leadership.is_yielding() {
            self.yielded = Some(Instant::now() + YIELD_PATIENCE);
        }
        let mut what = "the last leadership of this process could write no more".to_string();
        let mut kind = ErrorKind::Io;
        if let Some(cause) = leadership.failure() {
            what = format!("{what}: {cause}");
            kind = cause.kind();
        }
        leadership.leave();
        self.node.events.tell(Event::SteppedDown { epoch, failed });
        if failed && !self.node.is_closing() {
            self.node
                .session
                .note_trouble(format!("{what} (epoch {epoch})"));
            self.node.session.set_trouble(Trouble {
                what,
                kind: Some(kind),
                ..Trouble::default()
            });
            self.rest(FAILURE_PAUSE);
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

/// What to say of a lock whose holder serves no endpoint.
fn held_by(holder: &Holder, path: &Path) -> Trouble {
    let member = state::leader_pid(path);
    if member.is_some() && holder.pid == member {
        let what = "a leader of this party is starting or leaving".to_string();
        return Trouble {
            what,
            pid: holder.pid,
            ..Trouble::default()
        };
    }
    Trouble {
        what: format!(
            "{} is locked by {holder}, which does not answer as a party member; close that program",
            path.display()
        ),
        kind: Some(ErrorKind::Locked),
        ..Trouble::default()
    }
}

fn passing(what: String) -> Obstacle {
    Obstacle::Passing(Trouble {
        what,
        ..Trouble::default()
    })
}

/// Between half and all of `pause`, so that many followers of one dead leader do not knock in step.
fn jittered(pause: Duration) -> Duration {
    let random = crate::epoch::random_words().map_or(0, |[word, _]| word as u32);
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
