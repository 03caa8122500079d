//! Which history the database is in, and what a read or write must compare to be of it.
//!
//! A cluster that was restored from a backup has lost writes: its revisions begin again at an older one. It is known by another
//! cluster id, or by a revision below one that was answered before. Then the first process that notices begins the next history,
//! by one transaction on `PREFIX/meta`. Each read, and each write with conditions, compares the revision of that key, so that it
//! is answered in the history that it means or not at all.

use std::time::Instant;

use level_party_locks::Mutex;

use super::client::{ATTEMPT, Attempts, Client};
use super::layout::{Layout, Meta};
use super::rpc::{
    self, Compare, Header, PutRequest, RangeRequest, RangeResponse, Request, TxnRequest,
    TxnResponse,
};
use crate::answer::History;
use crate::error::{Error, ErrorKind, Result};

/// The history as this process knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub meta: Meta,
    /// The revision at which `PREFIX/meta` was put.
    pub revision: i64,
}

impl Known {
    pub fn history(&self) -> History {
        self.meta.history
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
    known: Mutex<Known>,
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
        let (known, found) = find(&client, &layout, None, deadline, create).await?;
        let known = Mutex::new(known);
        Ok((
            Cluster {
                client,
                layout,
                known,
            },
            found,
        ))
    }

    pub fn known(&self) -> Known {
        *self.known.lock()
    }

    /// Looks whether the history is still the same, and begins the next one where writes were lost.
    pub async fn look_again(&self, deadline: Instant) -> Result<Known> {
        let before = self.known();
        let (known, _) = find(
            &self.client,
            &self.layout,
            Some(before.meta),
            deadline,
            true,
        )
        .await?;
        let mut current = self.known.lock();
        if current.history().number <= known.history().number {
            *current = known;
        }
        Ok(*current)
    }

    /// What holds only as long as `known` does.
    pub fn is_current(&self, known: &Known) -> Compare {
        Compare::put_at(self.layout.meta(), known.revision)
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

async fn find(
    client: &Client,
    layout: &Layout,
    before: Option<Meta>,
    deadline: Instant,
    create: bool,
) -> Result<(Known, Found)> {
    let mut made = None;
    loop {
        let mut attempts = Attempts::new(deadline, ATTEMPT);
        let seen = client.seen();
        let question = RangeRequest {
            key: layout.meta(),
            ..RangeRequest::default()
        };
        let answer: RangeResponse = client
            .ask_until(rpc::RANGE, &question, &mut attempts, true)
            .await?;
        let header = headed(answer.header)?;
        let stored = answer.kvs.into_iter().next();
        let meta = stored
            .as_ref()
            .map(|kv| Meta::from_bytes(&kv.value))
            .transpose()?;
        if let (Some(meta), Some(kv)) = (meta, &stored)
            && meta.cluster == header.cluster_id
            && header.revision >= seen
        {
            client.saw(header.revision);
            let found = if made == Some(meta) {
                Found::Made
            } else {
                Found::There
            };
            let revision = kv.mod_revision;
            return Ok((Known { meta, revision }, found));
        }
        if stored.is_none() && !create {
            return Err(Error::new(
                ErrorKind::NotFound,
                "there is no database on etcd under this prefix, and none was to be made",
            ));
        }
        let last = meta.or(before).map_or(0, |meta| meta.history.number);
        let next = Meta {
            history: History {
                number: last + 1,
                random: random()?,
            },
            cluster: header.cluster_id,
        };
        let unchanged = match &stored {
            Some(kv) => Compare::put_at(layout.meta(), kv.mod_revision),
            None => Compare::absent(layout.meta()),
        };
        let put = PutRequest {
            key: layout.meta(),
            value: next.to_bytes(),
            lease: 0,
        };
        let begin = TxnRequest {
            compare: vec![unchanged],
            success: vec![Request::Put(put).into()],
            failure: Vec::new(),
        };
        // Whoever did it, the next round reads what came of it.
        let _: TxnResponse = client
            .ask_until(rpc::TXN, &begin, &mut attempts, true)
            .await?;
        client.forget_seen();
        made = stored.is_none().then_some(next);
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
