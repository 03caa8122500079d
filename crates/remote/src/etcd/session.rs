//! A process's session: the key by which each of its writes takes effect once.
//!
//! The session's key holds the *mark* of the process's last write that took effect: a number, and random bits that tell it from
//! every other write, also of a copy of this process (a virtual machine that was restored). A write is a transaction that
//! compares the key with the mark before, and puts its own; so of a write that is sent twice one takes effect, and a write that
//! is late, behind a later one, takes none. The key is made before the first write and never by one, and lies under a lease, so
//! that etcd removes it some time after its process has gone. No mark is used again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_locks::Mutex;

use super::client::{ATTEMPT, Attempts, Failure};
use super::history::{Cluster, random};
use super::rpc::{
    self, Compare, KeyValue, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse,
    LeaseRequest, Nothing, PutRequest, RangeRequest, Request, RequestOp, TxnRequest, TxnResponse,
};
use crate::answer::History;
use crate::error::{Error, ErrorKind, Result};

/// How long etcd keeps a session that it does not hear of. A process that is stopped or cut off for longer in the middle of a
/// write is told `OutcomeUnknown`.
const TTL: Duration = Duration::from_secs(3600);
/// How often it is told that the process lives.
const RENEWAL: Duration = Duration::from_secs(600);

/// What tells a write from every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// It grows from write to write.
    number: u64,
    random: u64,
}

impl Mark {
    /// The mark of the write of this number.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(number: u64) -> Result<Self> {
        let [random, _] = random()?;
        Ok(Mark { number, random })
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.number.to_be_bytes(), self.random.to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, random) = bytes.split_first_chunk()?;
        Some(Mark {
            number: u64::from_be_bytes(*number),
            random: u64::from_be_bytes(random.try_into().ok()?),
        })
    }
}

/// A session that etcd knows, or knew.
#[derive(Clone, Debug)]
pub struct Session {
    key: Vec<u8>,
    /// The mark that the key holds, as far as is known.
    last: Mark,
    /// The history in which it was last known.
    history: History,
    renewal: Renewal,
}

/// What keeps a session.
#[derive(Clone, Debug)]
pub struct Renewal {
    lease: i64,
    /// When etcd was last told that the process lives.
    last: Arc<Mutex<Instant>>,
}

/// What the session's key told about a write that did not take effect just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It had taken effect before, at this revision.
    Done(i64),
    /// It has not, and the number before is the expected one: something else that was compared does not hold.
    Refused,
    /// An earlier write of unknown outcome had taken effect; the session knows now.
    Behind,
    /// etcd has no such session.
    Gone,
    /// The key holds a mark of before one that was acknowledged: etcd was restored from a backup.
    WentBack,
}

impl Session {
    /// Begins a session.
    ///
    /// # Errors
    /// `Timeout`; what etcd refuses.
    pub async fn begin(cluster: &Cluster, deadline: Instant, first: Mark) -> Result<Self> {
        let mut attempts = Attempts::new(deadline, ATTEMPT);
        loop {
            let grant = LeaseGrantRequest {
                ttl: TTL.as_secs() as i64,
            };
            let asked = Instant::now();
            // Asked twice, a lease may be left behind; it ends by itself.
            let granted: LeaseGrantResponse = cluster
                .client
                .ask_until(rpc::LEASE_GRANT, &grant, &mut attempts, true)
                .await?;
            let session = Session {
                key: cluster.layout.session(random()?),
                last: first,
                history: cluster.known().history(),
                renewal: Renewal {
                    lease: granted.id,
                    last: Arc::new(Mutex::new(asked)),
                },
            };
            let begin = TxnRequest {
                compare: vec![Compare::absent(session.key.clone())],
                success: vec![session.put(first)],
                failure: vec![session.look()],
            };
            let answer: Result<TxnResponse> = cluster
                .client
                .ask_until(rpc::TXN, &begin, &mut attempts, true)
                .await;
            match answer {
                Ok(answer) if answer.succeeded => return Ok(session),
                // An earlier attempt had made it.
                Ok(answer) if holds(&answer) == Some(first) => return Ok(session),
                // Another one's: of 128 random bits. Another id is tried.
                Ok(_) => {}
                // The lease was lost with the leader that gave it.
                Err(error) if error.message().contains("lease not found") => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// That the last write is the one that is known to be.
    pub fn is_next(&self) -> Compare {
        Compare::holds(self.key.clone(), self.last.to_bytes())
    }

    /// Records a write's mark.
    pub fn put(&self, mark: Mark) -> RequestOp {
        let put = PutRequest {
            key: self.key.clone(),
            value: mark.to_bytes(),
            lease: self.lease(),
        };
        Request::Put(put).into()
    }

    /// Asks for the key, where a comparison does not hold.
    pub fn look(&self) -> RequestOp {
        let range = RangeRequest {
            key: self.key.clone(),
            ..RangeRequest::default()
        };
        Request::Range(range).into()
    }

    /// The write of this mark took effect, in this history.
    pub fn made(&mut self, mark: Mark, history: History) {
        self.last = mark;
        self.history = history;
    }

    /// The history in which it was last known.
    pub fn history(&self) -> History {
        self.history
    }

    /// What an answer that did not succeed tells about the write of this mark.
    pub fn told(&mut self, mark: Mark, answer: &TxnResponse) -> Told {
        let held = session_key(answer).and_then(|kv| Some((kv, Mark::from_bytes(&kv.value)?)));
        let Some((kv, held)) = held else {
            return Told::Gone;
        };
        if held == self.last {
            return Told::Refused;
        }
        if held.number < self.last.number {
            return Told::WentBack;
        }
        self.last = held;
        match held == mark {
            true => Told::Done(kv.mod_revision),
            false => Told::Behind,
        }
    }

    /// Takes from a write that may be on its way whatever effect it could still have, by recording another mark, `fence`.
    /// Gives what became of the write: `Refused` is that it has no effect and never will.
    pub async fn fence(
        &mut self,
        cluster: &Cluster,
        deadline: Instant,
        mark: Mark,
        fence: Mark,
    ) -> std::result::Result<Told, Failure> {
        let mut attempts = Attempts::new(deadline, ATTEMPT);
        loop {
            let Some(limit) = attempts.limit() else {
                let what = "the deadline came before the write's outcome was found".to_owned();
                return Err(Failure::Lost { what, sent: true });
            };
            let question = TxnRequest {
                compare: vec![self.is_next()],
                success: vec![self.put(fence)],
                failure: vec![self.look()],
            };
            match cluster
                .client
                .attempt::<_, TxnResponse>(rpc::TXN, &question, limit)
                .await
            {
                Ok(answer) if answer.succeeded => {
                    self.last = fence;
                    return Ok(Told::Refused);
                }
                Ok(answer) => match self.told(mark, &answer) {
                    Told::Behind if self.last == fence => return Ok(Told::Refused),
                    Told::Behind | Told::Refused => {}
                    told => return Ok(told),
                },
                Err(Failure::Lost { .. }) => {
                    attempts.failed(cluster.client.node_count()).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// What keeps it, once it runs.
    pub fn renewal(&self) -> Renewal {
        self.renewal.clone()
    }

    /// Whether its lease can have ended by itself.
    pub fn may_have_ended(&self) -> bool {
        self.renewal.last.lock().elapsed() >= TTL
    }

    /// The lease that it lies under.
    pub fn lease(&self) -> i64 {
        self.renewal.lease
    }

    /// Ends the session, as far as that can be done by the deadline; else its lease ends by itself.
    pub async fn end(lease: i64, cluster: &Cluster, deadline: Instant) -> Result<()> {
        let mut attempts = Attempts::new(deadline, ATTEMPT);
        let question = LeaseRequest { id: lease };
        let _: Nothing = cluster
            .client
            .ask_until(rpc::LEASE_REVOKE, &question, &mut attempts, true)
            .await?;
        Ok(())
    }
}

impl Renewal {
    /// Tells etcd again and again that the process lives. Ends where the session has; the next write finds that out.
    pub async fn run(self, cluster: &Cluster) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let mut attempts = Attempts::new(Instant::now() + RENEWAL, ATTEMPT);
            while let Some(limit) = attempts.limit() {
                let asked = Instant::now();
                match renew_once(self.lease, cluster, limit).await {
                    Ok(true) => {
                        *self.last.lock() = asked;
                        break;
                    }
                    Ok(false) => return,
                    Err(_) => attempts.failed(cluster.client.node_count()).await,
                }
            }
        }
    }
}

async fn renew_once(
    lease: i64,
    cluster: &Cluster,
    limit: Duration,
) -> std::result::Result<bool, Failure> {
    let questions = tokio_stream::once(LeaseRequest { id: lease });
    let (mut answers, _) = cluster
        .client
        .stream::<_, LeaseKeepAliveResponse>(rpc::LEASE_KEEP_ALIVE, questions, limit)
        .await?;
    match tokio::time::timeout(limit, answers.message()).await {
        Ok(Ok(Some(answer))) => Ok(answer.ttl > 0),
        Ok(Err(status)) => Err(cluster.client.stream_failed(Some(&status))),
        Ok(Ok(None)) | Err(_) => Err(cluster.client.stream_failed(None)),
    }
}

fn session_key(answer: &TxnResponse) -> Option<&KeyValue> {
    answer.responses.first()?.range.as_ref()?.kvs.first()
}

fn holds(answer: &TxnResponse) -> Option<Mark> {
    Mark::from_bytes(&session_key(answer)?.value)
}

/// Nobody can tell whether a write took effect.
pub fn unknown(why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "nobody can tell whether this write took effect: {why}; look before you write again"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::rpc::{Header, RangeResponse, ResponseOp};

    fn mark(number: u64) -> Mark {
        Mark { number, random: 1 }
    }

    fn answer(held: Option<Mark>) -> TxnResponse {
        let kv = held.map(|mark| KeyValue {
            value: mark.to_bytes(),
            mod_revision: 40 + mark.number as i64,
            ..KeyValue::default()
        });
        TxnResponse {
            header: Some(Header::default()),
            succeeded: false,
            responses: vec![ResponseOp {
                range: Some(RangeResponse {
                    kvs: kv.into_iter().collect(),
                    ..RangeResponse::default()
                }),
            }],
        }
    }

    #[test]
    fn session_key_tells_each_outcome_apart() {
        let told = |held: Option<Mark>| {
            let mut session = Session {
                key: b"p/s/1".to_vec(),
                last: mark(5),
                history: History {
                    number: 1,
                    random: [0, 0],
                },
                renewal: Renewal {
                    lease: 7,
                    last: Arc::new(Mutex::new(Instant::now())),
                },
            };
            assert!(!session.may_have_ended());
            let told = session.told(mark(7), &answer(held));
            (told, session.last)
        };
        assert_eq!(told(Some(mark(7))), (Told::Done(47), mark(7)));
        assert_eq!(told(Some(mark(5))), (Told::Refused, mark(5)));
        // The write before, whose outcome was unknown.
        assert_eq!(told(Some(mark(6))), (Told::Behind, mark(6)));
        // A write of a copy of this process.
        let other = Mark {
            number: 7,
            random: 2,
        };
        assert_eq!(told(Some(other)), (Told::Behind, other));
        assert_eq!(told(Some(mark(4))), (Told::WentBack, mark(5)));
        assert_eq!(told(None), (Told::Gone, mark(5)));
    }

    #[cfg(all(feature = "servers", target_os = "linux"))]
    #[test]
    fn fenced_write_that_comes_late_has_no_effect() {
        use crate::address::Address;
        use crate::etcd::client::Client;
        use crate::etcd::config::Config;

        let etcd = level_party_testkit::Etcd::start(1);
        let config = Config::new(&Address::parse(&etcd.url()).unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let deadline = Instant::now() + Duration::from_secs(60);
            let client = Client::new(&config);
            let opened = Cluster::open(client, config.layout, deadline, true).await;
            let (cluster, _) = opened.unwrap();
            let mut session = Session::begin(&cluster, deadline, mark(1)).await.unwrap();
            let write = |session: &Session, mark| TxnRequest {
                compare: vec![session.is_next()],
                success: vec![session.put(mark)],
                failure: vec![session.look()],
            };
            let send = async |write: &TxnRequest| -> TxnResponse {
                cluster
                    .client
                    .attempt(rpc::TXN, write, ATTEMPT * 10)
                    .await
                    .unwrap()
            };
            let late = write(&session, mark(2));
            let told = session
                .fence(&cluster, deadline, mark(2), mark(3))
                .await
                .unwrap();
            assert_eq!(told, Told::Refused);
            assert!(!send(&late).await.succeeded);
            // One that had come before the fence is found.
            let made = send(&write(&session, mark(4))).await;
            let revision = made.header.unwrap().revision;
            assert!(made.succeeded);
            let told = session
                .fence(&cluster, deadline, mark(4), mark(5))
                .await
                .unwrap();
            assert_eq!(told, Told::Done(revision));
        });
    }
}
