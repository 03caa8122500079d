//! A database on a server, as a handle has it: what a handle's calls ask of a [`Remote`], and how its answers are told.
//!
//! What the server holds is told in `docs/REMOTE.md`. Here are the bounds that every handle has (bytes under way, deadlines of tasks),
//! and the limits of the server, which are checked before anything is sent.
//! Must not know: which server it is, but for its name when it is opened.

use std::ops::Bound;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use level_party_engine::{Op, WriteBatch as EngineBatch};
use level_party_locks::Mutex;
use level_party_remote as remote;
use level_party_remote::address::{Address, scheme};
use level_party_remote::{Answer, Call, Moment, Remote};

use crate::bounds::Bounds;
use crate::conditions::Conditions;
use crate::entries::{Entries, EntriesBuilder};
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::events::Hub;
use crate::feed::{Changes, Missing, Start, Told};
use crate::handle::Found;
use crate::limits::{Limits, Wait};
use crate::options::Options;
use crate::reads::Scan;
use crate::room::Room;
use crate::service::ServiceState;
use crate::status::{LastTrouble, LeaderStatus, Opening, Role, ServerStatus, Status};
use crate::stop::outcome_unknown;
use crate::timer::{Alarm, Timer};
use crate::writes::WriteLimits;

/// How long after its deadline a task's call is answered here, where the server's client has not done it.
const GRACE: Duration = Duration::from_millis(500);

/// A database on a server.
pub(crate) struct Site {
    remote: Arc<dyn Remote>,
    pub room: Room,
    pub events: Hub,
    timer: Timer,
}

/// A call that a task awaits, no longer than until `late`; then there is no answer.
struct Awaited<'a, T> {
    /// Behind a lock, so that it can be shared: it is only ever polled through the one that has it.
    answer: Mutex<Answer<'a, T>>,
    timer: &'a Timer,
    late: Instant,
    alarm: Option<Alarm>,
}

impl<T> Future for Awaited<'_, T> {
    type Output = Result<Option<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let awaited = self.get_mut();
        if let Poll::Ready(answer) = awaited.answer.get_mut().as_mut().poll(context) {
            return Poll::Ready(answer.map(Some).map_err(Error::remote));
        }
        if Instant::now() >= awaited.late {
            return Poll::Ready(Ok(None));
        }
        match &awaited.alarm {
            Some(alarm) => alarm.renew(context.waker()),
            None => awaited.alarm = Some(awaited.timer.set(awaited.late, context.waker())?),
        }
        Poll::Pending
    }
}

impl Site {
    /// Opens the database at `url`.
    ///
    /// # Errors
    /// `Unsupported`: the server's kind; `InvalidArgument`: the URL, or options of files; what the server's opening fails with.
    pub fn open(url: &str, options: &Options) -> Result<Site> {
        let address = Address::parse(url).map_err(Error::remote)?;
        check_known(&address.scheme)?;
        let of_files = options.of_files();
        if !of_files.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{address} is on a server, and these options are of files alone: {}; leave them out",
                    of_files.join(", ")
                ),
            ));
        }
        let settings = remote::Settings {
            open_timeout: options.open_timeout,
            create_if_missing: options.create_if_missing,
            error_if_exists: options.error_if_exists,
            fills: options.fills,
        };
        let opened = open_remote(&address, &settings)?;
        Ok(Site {
            events: Hub::new(opened.address()),
            remote: opened,
            room: Room::default(),
            timer: Timer::default(),
        })
    }

    pub fn address(&self) -> &str {
        self.remote.address()
    }

    pub fn limits(&self) -> WriteLimits {
        let limits = self.remote.limits();
        WriteLimits {
            key_bytes: limits.key_bytes,
            batch_bytes: limits.batch_bytes,
            batch_len: limits.batch_ops,
        }
    }

    pub fn history(&self) -> remote::History {
        self.remote.history()
    }

    pub fn opening(&self) -> Opening {
        Opening {
            warnings: self.remote.warnings(),
            ..Opening::default()
        }
    }

    pub fn close(&self) {
        self.remote.close();
        self.room.close();
        self.timer.close();
    }

    /// What a call that waited until its deadline is told.
    pub fn timeout_error(&self, limits: &Limits) -> Error {
        let what = format!(
            "{} did not answer within {:?}",
            self.address(),
            limits.timeout
        );
        Error::new(ErrorKind::Timeout, what)
    }

    async fn ask<'a, T>(
        &'a self,
        limits: &Limits,
        ask: impl FnOnce(&'a dyn Remote, &Call) -> Answer<'a, T>,
    ) -> Result<Option<T>> {
        limits.check_time()?;
        let call = Call {
            wait: match limits.wait {
                Wait::Thread => remote::Wait::Thread,
                Wait::Task => remote::Wait::Task,
            },
            deadline: limits.deadline,
            retry: limits.retry,
        };
        let awaited = Awaited {
            answer: Mutex::new(ask(&*self.remote, &call)),
            timer: &self.timer,
            late: limits.deadline + GRACE,
            alarm: None,
        };
        awaited.await
    }

    async fn read<'a, T>(
        &'a self,
        limits: &Limits,
        ask: impl FnOnce(&'a dyn Remote, &Call) -> Answer<'a, T>,
    ) -> Result<T> {
        let read = self.ask(limits, ask).await?;
        read.ok_or_else(|| self.timeout_error(limits))
    }

    /// # Errors
    /// `InvalidArgument`: the server can't have such a key.
    fn check_key(&self, key: &[u8]) -> Result<()> {
        let most = self.remote.limits().key_bytes;
        match key.len() <= most {
            true => Ok(()),
            false => Err(self.over(format_args!(
                "a key of {} bytes is over its limit of {most}",
                key.len()
            ))),
        }
    }

    fn over(&self, what: std::fmt::Arguments<'_>) -> Error {
        Error::new(
            ErrorKind::InvalidArgument,
            format!("{}: {what}", self.address()),
        )
    }

    pub async fn get(
        &self,
        limits: &Limits,
        key: &[u8],
        at: Option<Moment>,
    ) -> Result<Option<Vec<u8>>> {
        self.check_key(key)?;
        let read = self.read(limits, |remote, call| remote.get(call, key, at));
        Ok(read.await?.map(|entry| entry.value))
    }

    pub async fn contains(&self, limits: &Limits, key: &[u8], at: Option<Moment>) -> Result<bool> {
        self.check_key(key)?;
        self.read(limits, |remote, call| remote.contains(call, key, at))
            .await
    }

    pub async fn get_many(
        &self,
        limits: &Limits,
        keys: &[impl AsRef<[u8]>],
        at: Option<Moment>,
    ) -> Result<Vec<Found>> {
        keys.iter()
            .try_for_each(|key| self.check_key(key.as_ref()))?;
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        let read = self.read(limits, |remote, call| remote.get_many(call, keys, at));
        let found = |entry: Option<remote::Entry>| entry.map(|entry| (entry.sequence, entry.value));
        Ok(read.await?.into_iter().map(found).collect())
    }

    /// One chunk of a range, and the moment that it was pinned at.
    pub async fn scan(
        &self,
        limits: &Limits,
        scan: &Scan<'_>,
        at: Option<Moment>,
    ) -> Result<(Entries, Option<Moment>)> {
        let request = remote::Scan {
            range: remote::KeyRange {
                lower: scan.lower.map(<[u8]>::to_vec),
                upper: scan.upper.map(<[u8]>::to_vec),
            },
            reverse: scan.reverse,
            keys_only: scan.keys_only,
            limit_bytes: scan.limit_bytes,
            limit_entries: scan.limit_entries,
            hold: scan.hold,
        };
        let chunk = self
            .read(limits, |remote, call| remote.scan(call, request, at))
            .await?;
        let mut entries = EntriesBuilder::new(scan.limit_bytes, chunk.items.len());
        for item in &chunk.items {
            entries.push(&item.key, |packed| {
                if scan.sequences {
                    packed.extend_from_slice(&item.sequence.to_le_bytes());
                }
                packed.extend_from_slice(&item.value);
            });
        }
        Ok((entries.finish(chunk.more, chunk.reached), chunk.pinned))
    }

    pub async fn pin(&self, limits: &Limits) -> Result<Moment> {
        self.read(limits, |remote, call| remote.pin(call)).await
    }

    pub fn unpin(&self, moment: Moment) {
        self.remote.unpin(moment);
    }

    pub async fn approximate_size(&self, limits: &Limits, bounds: &Bounds) -> Result<u64> {
        let range = range(&bounds.lower, &bounds.upper);
        self.read(limits, |remote, call| remote.approximate_size(call, range))
            .await
    }

    /// Makes a write under conditions. `None`: they do not hold.
    pub async fn write(
        &self,
        limits: &Limits,
        batch: &EngineBatch,
        sync: bool,
        conditions: &Conditions,
    ) -> Result<Option<u64>> {
        let write = self.checked(batch, sync, conditions.on_server(limits.history))?;
        let charge = batch.byte_size() + conditions.bytes();
        let room = self.room.wait_for(charge, limits, &self.timer).await?;
        let written = self
            .ask(limits, |remote, call| remote.write(call, write))
            .await?;
        drop(room);
        written.ok_or_else(|| {
            let why = format!("it was under way when its {:?} were over", limits.timeout);
            outcome_unknown(&why)
        })
    }

    fn checked(
        &self,
        batch: &EngineBatch,
        sync: bool,
        conditions: remote::Conditions,
    ) -> Result<remote::Write> {
        let limits = self.remote.limits();
        let count = batch.count() as usize;
        if count > limits.batch_ops {
            let most = limits.batch_ops;
            return Err(self.over(format_args!(
                "a write of {count} operations is over its limit of {most}; split it"
            )));
        }
        let mut bytes = 0;
        let mut ops = Vec::with_capacity(count);
        for op in batch {
            self.check_key(op.key())?;
            let (key, value) = match op {
                Op::Put { key, value } => (key, Some(value.to_vec())),
                Op::Delete { key } => (key, None),
            };
            bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            ops.push((key.to_vec(), value));
        }
        if bytes > limits.batch_bytes {
            let most = limits.batch_bytes;
            return Err(self.over(format_args!(
                "a write of {bytes} bytes is over its limit of {most}; split it"
            )));
        }
        for (key, _) in &conditions.keys {
            self.check_key(key)?;
        }
        Ok(remote::Write {
            ops,
            conditions,
            sync,
        })
    }

    /// Begins to follow the changes of a range.
    pub fn feed(
        &self,
        limits: &Limits,
        start: Start,
        lower: &Bound<Vec<u8>>,
        upper: &Bound<Vec<u8>>,
    ) -> Result<Box<dyn remote::Feed>> {
        let start = match start {
            Start::Now => remote::Start::Now,
            Start::Beginning => remote::Start::Beginning,
            Start::After {
                sequence,
                epoch: None,
            } => remote::Start::Sequence(sequence),
            Start::After {
                sequence,
                epoch: Some(epoch),
            } => remote::Start::Moment(Moment {
                sequence,
                history: remote::History {
                    number: epoch.number,
                    random: epoch.random,
                },
            }),
        };
        let range = range(lower, upper);
        crate::limits::now(self.read(limits, |remote, call| remote.feed(call, start, range)))
    }

    /// Has watches of all keys come up to what is there now, as far as the server needs to be told.
    pub async fn tick(&self, limits: &Limits) -> Result<()> {
        self.read(limits, |remote, call| remote.tick(call)).await
    }

    pub async fn service_state(&self, limits: &Limits) -> Result<ServiceState> {
        self.read(limits, |remote, call| remote.service_state(call))
            .await
    }

    /// False: it was not `expected`.
    pub async fn change_service_state(
        &self,
        limits: &Limits,
        expected: &ServiceState,
        new: &ServiceState,
    ) -> Result<bool> {
        let (expected, new) = (expected.clone(), new.clone());
        self.read(limits, |remote, call| {
            remote.set_service_state(call, expected, new)
        })
        .await
    }

    pub async fn status(&self, limits: &Limits) -> Result<Status> {
        let told = self
            .read(limits, |remote, call| remote.status(call))
            .await?;
        let service = self.service_state(limits).await?;
        let trouble = |trouble: remote::Trouble| LastTrouble {
            what: trouble.what,
            ago: trouble.ago,
        };
        Ok(Status {
            role: Role::Remote,
            pid: std::process::id(),
            leader: LeaderStatus::of_server(
                told.last.sequence,
                told.last.history.number,
                told.pins,
                told.oldest_pin,
            ),
            service,
            queued_calls: self.room.calls() as u64,
            queued_bytes: self.room.bytes() as u64,
            last_trouble: told.trouble.map(trouble),
            recent_events: self.events.last(),
            differing_options: Vec::new(),
            server: Some(ServerStatus {
                product: told.server,
                address: told.address,
                synchronous_standby: told.standby == remote::Standby::Synchronous,
                standby_lag_bytes: told.lag_bytes,
                oldest_readable: told.oldest_readable,
                warnings: told.warnings,
            }),
        })
    }
}

fn range(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> remote::KeyRange {
    remote::KeyRange {
        lower: lower.clone(),
        upper: upper.clone(),
    }
}

/// What a feed has told, and the epoch that its history is for a position.
pub(crate) fn told(through: Moment, told: Option<remote::Told>) -> (Epoch, Told) {
    let epoch = Epoch {
        number: through.history.number,
        random: through.history.random,
    };
    let missing = |gap: remote::Gap| Missing {
        from: gap.from,
        resume: gap.resume,
    };
    let told = match told {
        None => Told::progress(through.sequence),
        Some(told) => Told {
            gap: told.gap.map(missing),
            through: told.through.sequence,
            changes: Changes::of(told.changes),
        },
    };
    (epoch, told)
}

/// Refuses a path that is a URL, for what is done to files.
///
/// # Errors
/// `Unsupported`.
pub(crate) fn check_is_path(path: &Path, what: &str) -> Result<()> {
    match path.to_str().and_then(scheme) {
        None => Ok(()),
        Some(scheme) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "a database on a server ({scheme}://) can't be {what}: it has no files of ours, and is looked after by the server's own means"
            ),
        )),
    }
}

/// # Errors
/// `Unsupported`: the reason why such a server is not supported; `InvalidArgument`: it is no server that is known.
fn check_known(scheme: &str) -> Result<()> {
    let no_order = "a lock there does not order commits for readers of other nodes, so neither sequences nor watches would hold";
    let why = match scheme {
        "postgres" | "postgresql" | "etcd" => return Ok(()),
        "cockroach" | "cockroachdb" | "crdb" | "yugabyte" | "yugabytedb" | "ysql" => no_order,
        "tikv" => "it has no watch of a range",
        "fdb" | "foundationdb" => {
            "its transactions end after five seconds, and it has no watch of a range"
        }
        "mysql" | "mariadb" | "sqlite" | "mssql" | "oracle" => {
            "of SQL servers only PostgreSQL is supported"
        }
        "redis" | "rediss" | "valkey" => {
            "it acknowledges writes that a fail-over loses, and its watch forgets"
        }
        "mongodb" | "cassandra" | "dynamodb" | "consul" | "zookeeper" | "s3" => {
            "it was not looked into"
        }
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{scheme}:// names no server that is known here (postgres://, postgresql://, etcd://); a directory of that \
                     name is ./{scheme}:/..."
                ),
            ));
        }
    };
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("{scheme}:// is not supported: {why}"),
    ))
}

#[cfg_attr(
    not(any(feature = "etcd", feature = "postgres")),
    expect(unused_variables, reason = "no server is built in")
)]
fn open_remote(address: &Address, settings: &remote::Settings) -> Result<Arc<dyn Remote>> {
    match address.scheme.as_str() {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            remote::postgres::open(address, settings).map_err(Error::remote)
        }
        #[cfg(feature = "etcd")]
        "etcd" => remote::etcd::open(address, settings).map_err(Error::remote),
        scheme => {
            let feature = scheme.trim_end_matches("ql");
            Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{scheme}:// needs level-party's feature `{feature}`, without which this program was built"
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;
    use crate::options::Lead;

    fn refused(url: &str, options: Options) -> Error {
        options.open(url).unwrap_err()
    }

    #[test]
    fn urls_of_other_servers_are_refused_by_name() {
        for url in [
            "cockroachdb://h/d",
            "tikv://h",
            "fdb://h",
            "redis://h",
            "MySQL://h",
        ] {
            let error = refused(url, Options::default());
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
            let scheme = url.split(':').next().unwrap().to_lowercase();
            assert!(error.message().contains(&scheme), "{error}");
        }
        let error = refused("gopher://h", Options::default());
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("./gopher:/"), "{error}");
    }

    #[test]
    fn options_of_files_are_refused_by_name() {
        let options = Db::options()
            .block_size(1 << 10)
            .lead(Lead::Join)
            .map_tables(true);
        let error = refused("postgres://u:swordfish@localhost:1/d", options);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(
            error.message().contains("lead, map_tables, block_size"),
            "{error}"
        );
        assert!(!error.message().contains("sword"), "{error}");
    }

    #[cfg(not(feature = "postgres"))]
    #[test]
    fn a_server_that_is_not_built_in_names_its_feature() {
        for url in ["postgres://h/d", "postgresql://h/d"] {
            let error = refused(url, Options::default());
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("feature `postgres`"), "{error}");
        }
    }

    #[cfg(not(feature = "etcd"))]
    #[test]
    fn etcd_that_is_not_built_in_names_its_feature() {
        let error = refused("etcd://h", Options::default());
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("feature `etcd`"), "{error}");
    }

    #[test]
    fn what_is_done_to_files_is_refused_for_a_url() {
        let url = "postgres://localhost/d";
        let destroyed = Db::destroy(url).unwrap_err();
        let repaired = Db::repair(url).unwrap_err();
        assert_eq!(
            (destroyed.kind(), repaired.kind()),
            (ErrorKind::Unsupported, ErrorKind::Unsupported)
        );
    }
}
