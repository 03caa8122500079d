//! Which history the database is in, whether it is in service, and what a read or write must compare to be of it.
//!
//! A cluster that was restored from a backup has lost writes: its revisions begin again at an older one. It is known by another
//! cluster id, or by a revision below one that was answered before. Then the first process that notices begins the next history,
//! by one transaction on `PREFIX/meta`. Each read, and each write with conditions, compares the revision of that key, so that it
//! is answered in the history that it means or not at all.

use std::sync::Arc;
use std::time::Instant;

use level_party_locks::Mutex;

use super::client::{ATTEMPT, Attempts, Client};
use super::layout::{Layout, Meta, Sequences};
use super::rpc::{
    self, Compare, Header, KeyValue, PutRequest, RangeRequest, Request, RequestOp, TxnRequest,
    TxnResponse,
};
use crate::answer::{History, Moment, ServiceState};
use crate::error::{Error, ErrorKind, Result};

/// The history and the service state, as this process knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub meta: Meta,
    /// The revision at which `PREFIX/meta` was put.
    pub revision: i64,
    pub service: ServiceState,
    /// The revision at which `PREFIX/service` was put; 0: it is not there.
    pub service_revision: i64,
}

impl Known {
    pub fn history(&self) -> History {
        self.meta.history
    }

    pub fn sequences(&self) -> Sequences {
        self.meta.sequences
    }

    /// The moment at the end of a revision.
    pub fn moment(&self, revision: i64) -> Moment {
        Moment {
            sequence: self.sequences().end_of(revision),
            history: self.history(),
        }
    }
}

/// What there was when the database was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Made,
    There,
}

/// A cluster, and the history of one database in it.
pub struct Cluster {
    pub client: Client,
    pub layout: Layout,
    known: Arc<Mutex<Looked>>,
}

/// What was known at a revision.
struct Looked {
    known: Arc<Known>,
    at: i64,
}

impl Cluster {
    /// Finds the database, or makes it.
    ///
    /// # Errors
    /// `NotFound`: there is none, and `create` is false. `Timeout`; what etcd refuses.
    pub async fn open(
        client: Client,
        layout: Layout,
        deadline: Instant,
        create: bool,
    ) -> Result<(Self, Found)> {
        let (looked, found) = find(&client, &layout, None, deadline, create).await?;
        let known = Arc::new(Mutex::new(looked));
        Ok((
            Cluster {
                client,
                layout,
                known,
            },
            found,
        ))
    }

    /// The same database, by connections of the runtime within which it is called.
    pub fn with_own_connections(&self) -> Self {
        Cluster {
            client: self.client.with_own_connections(),
            layout: self.layout.clone(),
            known: Arc::clone(&self.known),
        }
    }

    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.lock().known)
    }

    /// Looks whether history and service state are still the same, and begins the next history where writes were lost.
    pub async fn look_again(&self, deadline: Instant) -> Result<Arc<Known>> {
        let before = Some(self.known().meta);
        let (looked, _) = find(&self.client, &self.layout, before, deadline, true).await?;
        let mut current = self.known.lock();
        // Another task may have looked later.
        let order = |looked: &Looked| (looked.known.history().number, looked.at);
        if order(&current) <= order(&looked) {
            *current = looked;
        }
        Ok(Arc::clone(&current.known))
    }

    /// Begins the history after `lost`, of which writes are gone, if nobody has yet.
    pub async fn begin_next(&self, lost: History, deadline: Instant) -> Result<()> {
        loop {
            let known = self.look_again(deadline).await?;
            if known.history() != lost {
                return Ok(());
            }
            let next = next_meta(Some(known.meta), known.meta.cluster)?;
            begin(&self.client, &self.layout, known.revision, next, deadline).await?;
        }
    }

    /// Changes the service state; `false`: it is another one than `expected`.
    pub async fn set_service_state(
        &self,
        deadline: Instant,
        expected: &ServiceState,
        new: &ServiceState,
    ) -> Result<bool> {
        loop {
            let known = self.look_again(deadline).await?;
            if known.service == *new {
                return Ok(true);
            }
            if known.service != *expected {
                return Ok(false);
            }
            let put = PutRequest {
                key: self.layout.service(),
                value: new.to_text().into_bytes(),
                lease: 0,
            };
            let change = TxnRequest {
                compare: vec![self.is_current(&known), self.is_in_service(&known)],
                success: vec![Request::Put(put).into()],
                failure: Vec::new(),
            };
            let mut attempts = Attempts::new(deadline, ATTEMPT);
            // Whoever changed it, the next round sees what it is.
            let _: TxnResponse = self
                .client
                .ask_until(rpc::TXN, &change, &mut attempts, true)
                .await?;
        }
    }

    /// What holds only as long as the service state of `known` does.
    pub fn is_in_service(&self, known: &Known) -> Compare {
        Compare::put_at(self.layout.service(), known.service_revision)
    }

    /// What holds only as long as `known` does.
    pub fn is_current(&self, known: &Known) -> Compare {
        Compare::put_at(self.layout.meta(), known.revision)
    }

    /// Asks for what is known, behind another question of a transaction.
    pub fn look_at_known(&self) -> Vec<RequestOp> {
        vec![key_of(self.layout.meta()), key_of(self.layout.service())]
    }

    /// Whether an answer to [`Cluster::look_at_known`] says that what is known still holds.
    pub fn is_unchanged(&self, known: &Known, answer: &TxnResponse, seen: i64) -> bool {
        let at = |number: usize| {
            let range = answer.responses.get(number)?.range.as_ref()?;
            Some(range.kvs.first().map_or(0, |kv| kv.mod_revision))
        };
        at(1) == Some(known.revision)
            && at(2) == Some(known.service_revision)
            && answer
                .header
                .is_some_and(|header| self.is_of(known, &header, seen))
    }

    /// Whether an answer is of the cluster that `known` is of, and no older than one that was `seen` before it was asked for.
    /// Takes note of its revision.
    pub fn is_of(&self, known: &Known, header: &Header, seen: i64) -> bool {
        let is_of = header.cluster_id == known.meta.cluster && header.revision >= seen;
        if is_of {
            self.client.saw(header.revision);
        }
        is_of
    }
}

/// What every answer must begin with.
///
/// # Errors
/// `Protocol`: it does not.
pub fn headed(header: Option<Header>) -> Result<Header> {
    header.ok_or_else(|| Error::new(ErrorKind::Protocol, "etcd gave an answer without a header"))
}

/// Finds the history that goes on, or begins one: the first, or the next where writes of the one `before` were lost.
async fn find(
    client: &Client,
    layout: &Layout,
    before: Option<Meta>,
    deadline: Instant,
    create: bool,
) -> Result<(Looked, Found)> {
    let mut made = None;
    loop {
        let seen = client.seen();
        let (header, stored, service) = look(client, layout, deadline).await?;
        let meta = stored
            .as_ref()
            .map(|kv| Meta::from_bytes(&kv.value))
            .transpose()?;
        if let (Some(meta), Some(kv)) = (meta, &stored) {
            // Somebody else may have begun it, with lower revisions than were seen.
            let is_next = before.is_some_and(|before| before != meta);
            if meta.cluster == header.cluster_id && (header.revision >= seen || is_next) {
                if is_next {
                    client.forget_seen();
                }
                client.saw(header.revision);
                let found = match made == Some(meta) {
                    true => Found::Made,
                    false => Found::There,
                };
                let (service, service_revision) = service_state(service)?;
                let known = Arc::new(Known {
                    meta,
                    revision: kv.mod_revision,
                    service,
                    service_revision,
                });
                let at = header.revision;
                return Ok((Looked { known, at }, found));
            }
        }
        if stored.is_none() && !create {
            return Err(Error::new(
                ErrorKind::NotFound,
                "there is no database on etcd under this prefix, and none was to be made",
            ));
        }
        let next = next_meta(meta.or(before), header.cluster_id)?;
        let revision = stored.as_ref().map_or(0, |kv| kv.mod_revision);
        begin(client, layout, revision, next, deadline).await?;
        made = stored.is_none().then_some(next);
    }
}

fn key_of(key: Vec<u8>) -> RequestOp {
    let range = RangeRequest {
        key,
        ..RangeRequest::default()
    };
    Request::Range(range).into()
}

/// What `PREFIX/meta` and `PREFIX/service` hold at one revision.
async fn look(
    client: &Client,
    layout: &Layout,
    deadline: Instant,
) -> Result<(Header, Option<KeyValue>, Option<KeyValue>)> {
    let question = TxnRequest {
        compare: Vec::new(),
        success: vec![key_of(layout.meta()), key_of(layout.service())],
        failure: Vec::new(),
    };
    let mut attempts = Attempts::new(deadline, ATTEMPT);
    let answer: TxnResponse = client
        .ask_until(rpc::TXN, &question, &mut attempts, true)
        .await?;
    let header = headed(answer.header)?;
    let mut keys = answer.responses.into_iter().map(|answer| {
        let range = answer.range.unwrap_or_default();
        range.kvs.into_iter().next()
    });
    Ok((header, keys.next().flatten(), keys.next().flatten()))
}

fn next_meta(last: Option<Meta>, cluster: u64) -> Result<Meta> {
    let history = History {
        number: last.map_or(0, |meta| meta.history.number) + 1,
        random: random()?,
    };
    Ok(Meta {
        history,
        sequences: last.map_or(Sequences::default(), |meta| meta.sequences.next()),
        cluster,
    })
}

/// Begins the history of `next`, unless somebody has begun one since `revision` (0: since there was none). What came of it is
/// for the caller to look at.
async fn begin(
    client: &Client,
    layout: &Layout,
    revision: i64,
    next: Meta,
    deadline: Instant,
) -> Result<()> {
    let put = PutRequest {
        key: layout.meta(),
        value: next.to_bytes(),
        lease: 0,
    };
    let begin = TxnRequest {
        compare: vec![Compare::put_at(layout.meta(), revision)],
        success: vec![Request::Put(put).into()],
        failure: Vec::new(),
    };
    let mut attempts = Attempts::new(deadline, ATTEMPT);
    let _: TxnResponse = client
        .ask_until(rpc::TXN, &begin, &mut attempts, true)
        .await?;
    client.forget_seen();
    Ok(())
}

/// What `PREFIX/service` says, and the revision at which it was put.
fn service_state(stored: Option<KeyValue>) -> Result<(ServiceState, i64)> {
    match stored {
        None => Ok((ServiceState::Live, 0)),
        Some(kv) => {
            let text = String::from_utf8_lossy(&kv.value);
            Ok((ServiceState::parse(&text)?, kv.mod_revision))
        }
    }
}

/// Random words.
pub fn random() -> Result<[u64; 2]> {
    let word = || {
        getrandom::u64().map_err(|error| {
            let what = format!("the system gives no random bytes: {error}");
            Error::new(ErrorKind::Io, what)
        })
    };
    Ok([word()?, word()?])
}
