//! A database on etcd 3.4 or later: `etcd://h1,h2,h3/PREFIX`.
//!
//! Moments are revisions, writes are transactions, changes are etcd's own watch. A read of a thread is made by that thread; one thread
//! of this process drives all else, so that callers need no runtime. `docs/REMOTE.md` has what must hold and why.

mod chunks;
mod client;
mod config;
mod feed;
mod group;
mod history;
mod layout;
mod lines;
mod outcome;
mod reads;
mod rpc;
mod runtime;
mod session;
mod status;
mod steps;
mod tls;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_locks::Mutex;
use tokio::runtime::Handle;

use crate::address::Address;
use crate::answer::{Chunk, Entry, History, Limits, Moment, ServiceState, Status};
use crate::call::{Answer, Call, Wait, blocked_on};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::{Feed, Remote};
use crate::request::{KeyRange, Scan, Settings, Start, Write};

use chunks::Pace;
use client::Client;
use config::Config;
use feed::EtcdFeed;
use history::{Cluster, Found};
use lines::Lines;
use reads::How;
use runtime::{Runtime, ask};
use writer::Writer;

/// How long leaving waits for etcd to forget this process.
const LEAVE: Duration = Duration::from_millis(500);

/// Opens the database that `address` names.
///
/// # Errors
/// `InvalidArgument`: the URL, or no node's certificate is accepted; `NotFound`, `AlreadyExists`; `PermissionDenied`;
/// `IncompatibleVersion`; `Timeout`: no node answered.
pub fn open(address: &Address, settings: &Settings) -> Result<Arc<dyn Remote>> {
    let config = Config::new(address)?;
    let runtime = Runtime::start()?;
    let call = Call {
        wait: Wait::Thread,
        deadline: Instant::now() + settings.open_timeout,
        retry: true,
    };
    let client = {
        let _within = runtime.handle().enter();
        Client::new(&config)
    };
    let (layout, create) = (config.layout, settings.create_if_missing);
    let opening = ask(runtime.handle(), call, async move {
        Cluster::open(client, layout, call.deadline, create).await
    });
    let (cluster, found) = at_once(opening, call)?;
    if settings.error_if_exists && found == Found::There {
        let what = format!(
            "{} holds a database already (error_if_exists is set)",
            config.shown
        );
        return Err(Error::new(ErrorKind::AlreadyExists, what));
    }
    let service = &cluster.known().service;
    // Who is to fill a live database opens it to make it so; until then its writes are refused.
    if matches!(service, ServiceState::Filling { .. }) && !settings.fills {
        return Err(service.refusal());
    }
    let cluster = Arc::new(cluster);
    let mut remote = EtcdRemote {
        shown: config.shown,
        process: std::process::id(),
        warnings: config.warnings,
        writer: Arc::new(Writer::new(
            Arc::clone(&cluster),
            runtime.handle().clone(),
            settings.fills,
        )),
        cluster,
        runtime: Mutex::new(Some(runtime)),
        lines: Lines::default(),
        pace: Arc::default(),
        pins: Arc::default(),
    };
    let status = at_once(remote.status(&call), call)?;
    remote.warnings.extend(status.warnings);
    Ok(Arc::new(remote))
}

/// Waits for an answer on this thread.
fn at_once<T>(answer: impl Future<Output = Result<T>>, call: Call) -> Result<T> {
    blocked_on(answer, call.deadline).unwrap_or_else(|| Err(runtime::late("etcd's thread is busy")))
}

struct EtcdRemote {
    shown: String,
    warnings: Vec<String>,
    /// The process that opened it.
    process: u32,
    cluster: Arc<Cluster>,
    writer: Arc<Writer>,
    /// `None`: it was closed.
    runtime: Mutex<Option<Runtime>>,
    lines: Lines,
    pace: Arc<Pace>,
    pins: Arc<Pins>,
}

/// The moments that this process holds. etcd knows nothing of them: whoever has it forget its history ends them.
#[derive(Default)]
struct Pins(Mutex<BTreeMap<u64, usize>>);

impl Pins {
    fn hold(&self, moment: Moment) {
        *self.0.lock().entry(moment.sequence).or_default() += 1;
    }

    fn give_back(&self, moment: Moment) {
        let mut held = self.0.lock();
        if let Some(count) = held.get_mut(&moment.sequence) {
            *count -= 1;
            if *count == 0 {
                held.remove(&moment.sequence);
            }
        }
    }
}

impl EtcdRemote {
    /// Has a read made by the thread that calls, or by the runtime's; it begins with the first poll.
    fn read<'a, T, F>(
        &'a self,
        call: &Call,
        read: impl FnOnce(Arc<Cluster>, How) -> F + Send + 'a,
    ) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let call = *call;
        Box::pin(async move {
            let line = match call.wait {
                Wait::Thread => self.lines.lend(&self.cluster),
                Wait::Task => None,
            };
            match line {
                Some(line) => line.call(|cluster| read(cluster, How::of(call))),
                None => self.ask(call, read).await,
            }
        })
    }

    /// Has `work` done by the runtime's thread.
    async fn ask<T, F>(
        &self,
        call: Call,
        work: impl FnOnce(Arc<Cluster>, How) -> F + Send,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let runtime = self.handle()?;
        let work = work(Arc::clone(&self.cluster), How::of(call));
        ask(&runtime, call, work).await
    }

    fn handle(&self) -> Result<Handle> {
        let runtime = self.runtime.lock();
        runtime
            .as_ref()
            .map(|runtime| runtime.handle().clone())
            .ok_or_else(Error::closed)
    }
}

impl Remote for EtcdRemote {
    fn address(&self) -> &str {
        &self.shown
    }

    fn limits(&self) -> Limits {
        group::LIMITS
    }

    fn history(&self) -> History {
        self.cluster.known().history()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn get<'a>(
        &'a self,
        call: &Call,
        key: &'a [u8],
        at: Option<Moment>,
    ) -> Answer<'a, Option<Entry>> {
        self.read(call, move |cluster, how| {
            let keys = [key.to_vec()];
            async move {
                Ok(reads::get_many(&cluster, how, &keys, at, true)
                    .await?
                    .pop()
                    .flatten())
            }
        })
    }

    fn contains<'a>(&'a self, call: &Call, key: &'a [u8], at: Option<Moment>) -> Answer<'a, bool> {
        self.read(call, move |cluster, how| {
            let keys = [key.to_vec()];
            async move {
                let found = reads::get_many(&cluster, how, &keys, at, false).await?;
                Ok(found.iter().any(Option::is_some))
            }
        })
    }

    fn get_many(
        &self,
        call: &Call,
        keys: Vec<Vec<u8>>,
        at: Option<Moment>,
    ) -> Answer<'_, Vec<Option<Entry>>> {
        self.read(call, move |cluster, how| async move {
            reads::get_many(&cluster, how, &keys, at, true).await
        })
    }

    fn scan(&self, call: &Call, scan: Scan, at: Option<Moment>) -> Answer<'_, Chunk> {
        let (pace, pins) = (Arc::clone(&self.pace), Arc::clone(&self.pins));
        self.read(call, move |cluster, how| async move {
            let (mut chunk, moment) = chunks::scan(&cluster, &pace, how, &scan, at).await?;
            if at.is_none() && (chunk.more || scan.hold) {
                pins.hold(moment);
                chunk.pinned = Some(moment);
            }
            Ok(chunk)
        })
    }

    fn write(&self, call: &Call, write: Write) -> Answer<'_, Option<u64>> {
        let call = *call;
        Box::pin(async move { self.writer.write(call, write).await })
    }

    fn pin(&self, call: &Call) -> Answer<'_, Moment> {
        let pins = Arc::clone(&self.pins);
        self.read(call, move |cluster, how| async move {
            let moment = reads::newest(&cluster, how).await?;
            pins.hold(moment);
            Ok(moment)
        })
    }

    fn unpin(&self, moment: Moment) {
        self.pins.give_back(moment);
    }

    fn newest(&self, call: &Call) -> Answer<'_, Moment> {
        self.read(call, |cluster, how| async move {
            reads::newest(&cluster, how).await
        })
    }

    fn feed(&self, call: &Call, from: Start, range: KeyRange) -> Answer<'_, Box<dyn Feed>> {
        // It goes on when this call has ended.
        Box::pin(self.ask(*call, move |cluster, how| {
            EtcdFeed::open(cluster, how, from, range)
        }))
    }

    fn tick(&self, call: &Call) -> Answer<'_, ()> {
        self.read(call, |cluster, how| async move {
            feed::tick(&cluster, how).await
        })
    }

    fn approximate_size(&self, call: &Call, range: KeyRange) -> Answer<'_, u64> {
        self.read(call, move |cluster, how| async move {
            reads::approximate_size(&cluster, how, &range).await
        })
    }

    fn service_state(&self, call: &Call) -> Answer<'_, ServiceState> {
        self.read(call, |cluster, how| async move {
            Ok(cluster.look_again(how.deadline).await?.service.clone())
        })
    }

    fn set_service_state(
        &self,
        call: &Call,
        expected: ServiceState,
        new: ServiceState,
    ) -> Answer<'_, bool> {
        self.read(call, move |cluster, how| async move {
            cluster
                .set_service_state(how.deadline, &expected, &new)
                .await
        })
    }

    fn status(&self, call: &Call) -> Answer<'_, Status> {
        let (shown, pins, own) = (
            self.shown.clone(),
            Arc::clone(&self.pins),
            self.warnings.clone(),
        );
        self.read(call, move |cluster, how| async move {
            let mut status = status::status(&cluster, &shown, how).await?;
            let held = pins.0.lock();
            status.pins = held.values().sum::<usize>() as u64;
            status.oldest_pin = held.keys().next().copied();
            status
                .warnings
                .extend(own.into_iter().filter(|warning| warning.starts_with("tls")));
            Ok(status)
        })
    }

    fn close(&self) {
        let Some(runtime) = self.runtime.lock().take() else {
            return;
        };
        if std::process::id() != self.process {
            self.lines.leave_to_parent();
            return;
        }
        self.lines.close();
        self.writer.close();
        let deadline = Instant::now() + LEAVE;
        let call = Call {
            wait: Wait::Thread,
            deadline,
            retry: true,
        };
        let writer = Arc::clone(&self.writer);
        let left = ask(runtime.handle(), call, async move {
            writer.leave(deadline).await
        });
        // Where it cannot be told, etcd forgets this process by itself.
        let _ = blocked_on(left, deadline);
    }
}

impl Drop for EtcdRemote {
    fn drop(&mut self) {
        self.close();
    }
}
