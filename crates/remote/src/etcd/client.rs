//! Questions to a cluster: which node is asked, what a failure means, and who logs in.
//!
//! A question goes to one node, the current one; where that does not answer, the next one becomes current. Any node serves, as
//! etcd forwards to its leader. A failure says whether the question can have had an effect ([`Failure`]).
//! Must not know: what is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use level_party_locks::Mutex;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::config::Config;
use super::rpc::{self, AuthenticateRequest, AuthenticateResponse};
use super::runtime::{late, until};
use super::tls;
use crate::answer::Trouble;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How long a connection may take to be made.
pub const CONNECT: Duration = Duration::from_secs(1);
/// How often an idle connection with streams is tried: no more often than etcd allows (`--grpc-keepalive-min-time`, 5 s).
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the system asks again before it ends a connection without streams.
pub const KEEP_ALIVE_RETRIES: u32 = 2;
/// How long a node may take for a short question before the next one is asked. The time grows with each attempt in vain: a
/// cluster that elects, or a disk that is slow, is not asked ever more.
pub const ATTEMPT: Duration = Duration::from_secs(1);
const LONGEST_ATTEMPT: Duration = Duration::from_secs(8);
/// How long is waited when no node could be reached; doubled each time.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Answers of more bytes are refused before they are read whole.
pub const ANSWER_BYTES: usize = 64 << 20;

/// Why a question has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The server refused it, and it had no effect.
    Refused(Error),
    /// The answer has more than [`ANSWER_BYTES`].
    TooLarge,
    /// Nobody answered. If `sent`, it may have taken effect, now or later.
    Lost { what: String, sent: bool },
}

/// A cluster's nodes, by connections of one runtime.
pub struct Client {
    nodes: Arc<Nodes>,
    channels: Vec<Channel>,
}

/// What is known of a cluster's nodes, whichever connection told it.
struct Nodes {
    /// Host and port, for messages, and how to connect.
    named: Vec<(String, Endpoint)>,
    current: AtomicUsize,
    /// A bit for each node whose certificate was refused since anything else came of asking one.
    distrusted: AtomicU64,
    login: Option<(String, Secret)>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
    trouble: Mutex<Option<(String, Instant)>>,
    /// The highest revision that was seen.
    seen: AtomicU64,
}

/// What a question's attempts may take.
#[derive(Debug)]
pub struct Attempts {
    deadline: Instant,
    limit: Duration,
    pause: Duration,
    /// When the attempt under way began, and how many in a row have failed at once.
    begun: Instant,
    quick: usize,
}

impl Attempts {
    pub fn new(deadline: Instant, first: Duration) -> Self {
        Attempts {
            deadline,
            limit: first,
            pause: PAUSE,
            begun: Instant::now(),
            quick: 0,
        }
    }

    /// Begins an attempt: how long it may take. `None`: the deadline has come.
    pub fn limit(&mut self) -> Option<Duration> {
        self.begun = Instant::now();
        let left = self.deadline.checked_duration_since(self.begun)?;
        (!left.is_zero()).then(|| left.min(self.limit))
    }

    /// After an attempt in vain. One that took its time has the next one take more; where every node of `nodes` failed at once,
    /// there is a pause.
    pub async fn failed(&mut self, nodes: usize) {
        if self.begun.elapsed() >= self.limit {
            self.limit = (self.limit * 3 / 2).min(LONGEST_ATTEMPT);
            self.quick = 0;
            return;
        }
        self.quick += 1;
        if self.quick.is_multiple_of(nodes) {
            let until = (Instant::now() + self.pause).min(self.deadline);
            tokio::time::sleep_until(until.into()).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Client {
    /// Connects to no node yet. Must be called within the runtime.
    pub fn new(config: &Config) -> Self {
        Client::of(Arc::new(Nodes {
            named: config.nodes.clone(),
            current: AtomicUsize::new(0),
            distrusted: AtomicU64::new(0),
            login: config.login.clone(),
            token: Mutex::default(),
            trouble: Mutex::default(),
            seen: AtomicU64::new(0),
        }))
    }

    /// The same nodes, by connections of the runtime within which it is called.
    pub fn with_own_connections(&self) -> Self {
        Client::of(Arc::clone(&self.nodes))
    }

    fn of(nodes: Arc<Nodes>) -> Self {
        let endpoints = nodes.named.iter();
        Client {
            channels: endpoints
                .map(|(_, endpoint)| endpoint.connect_lazy())
                .collect(),
            nodes,
        }
    }

    pub fn node_count(&self) -> usize {
        self.channels.len()
    }

    /// What went wrong last, although calls went on.
    pub fn trouble(&self) -> Option<Trouble> {
        let trouble = self.nodes.trouble.lock().clone();
        trouble.map(|(what, at)| Trouble {
            what,
            ago: at.elapsed(),
        })
    }

    /// The highest revision that was seen.
    pub fn seen(&self) -> i64 {
        self.nodes.seen.load(Ordering::Acquire) as i64
    }

    pub fn saw(&self, revision: i64) {
        self.nodes
            .seen
            .fetch_max(revision.max(0) as u64, Ordering::AcqRel);
    }

    /// Forgets the highest revision: another history has begun.
    pub fn forget_seen(&self) {
        self.nodes.seen.store(0, Ordering::Release);
    }

    /// Asks the current node once.
    pub async fn attempt<Q, A>(
        &self,
        path: &'static str,
        question: &Q,
        limit: Duration,
    ) -> std::result::Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let node = self.nodes.current.load(Ordering::Acquire);
        self.attempt_at(node, path, question, limit).await
    }

    /// Asks one node once.
    pub async fn attempt_at<Q, A>(
        &self,
        node: usize,
        path: &'static str,
        question: &Q,
        limit: Duration,
    ) -> std::result::Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let deadline = Instant::now() + limit;
        let token = self.token(node, limit).await?;
        let answer = until(
            deadline,
            self.ask(node, path, question.clone(), token.clone()),
        )
        .await;
        match answer {
            Ok(Ok(answer)) => {
                self.trusted();
                Ok(answer)
            }
            Ok(Err(status)) if is_stale_token(&status) && token.is_some() => {
                // Refused before it was looked at: with a new token it is asked again.
                self.forget(token.as_ref());
                Err(Failure::Lost {
                    what: status.message().to_owned(),
                    sent: false,
                })
            }
            Ok(Err(status)) => Err(self.failure(node, &status)),
            Err(_) => Err(self.lost(node, format!("it did not answer within {limit:?}"), true)),
        }
    }

    /// Asks until a node answers. For questions that change nothing, or nothing more when they are asked twice.
    ///
    /// # Errors
    /// What the server refuses; `Timeout`; without `retry` `ConnectionLost`.
    pub async fn ask_until<Q, A>(
        &self,
        path: &'static str,
        question: &Q,
        attempts: &mut Attempts,
        retry: bool,
    ) -> Result<A>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let answer = self.ask_sized(path, question, attempts, retry).await?;
        let too_large = || Error::new(ErrorKind::Protocol, "etcd gave an answer that is too large");
        answer.ok_or_else(too_large)
    }

    /// The same; `None`: the answer is too large.
    pub async fn ask_sized<Q, A>(
        &self,
        path: &'static str,
        question: &Q,
        attempts: &mut Attempts,
        retry: bool,
    ) -> Result<Option<A>>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let mut why = "no node was asked".to_owned();
        while let Some(limit) = attempts.limit() {
            match self.attempt(path, question, limit).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failure::TooLarge) => return Ok(None),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost { what, sent }) => {
                    if sent && !retry {
                        let what =
                            format!("the connection was lost in the middle of this call: {what}");
                        return Err(Error::new(ErrorKind::ConnectionLost, what));
                    }
                    attempts.failed(self.channels.len()).await;
                    why = what;
                }
            }
        }
        Err(late(why))
    }

    /// Opens a stream at the current node, and tells which one that is. It ends where the node has lost its cluster (`hasleader`).
    pub async fn stream<Q, A>(
        &self,
        path: &'static str,
        questions: impl tokio_stream::Stream<Item = Q> + Send + 'static,
        limit: Duration,
    ) -> std::result::Result<(Streaming<A>, usize), Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let node = self.nodes.current.load(Ordering::Acquire);
        let token = self.token(node, limit).await?;
        let mut request = Request::new(questions);
        let metadata = request.metadata_mut();
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = token.clone() {
            metadata.insert("token", token);
        }
        let mut grpc = self.grpc(node);
        let opened = async {
            grpc.ready()
                .await
                .map_err(|error| Status::from_error(error.into()))?;
            grpc.streaming(
                request,
                PathAndQuery::from_static(path),
                ProstCodec::<Q, A>::default(),
            )
            .await
        };
        match tokio::time::timeout(limit, opened).await {
            Ok(Ok(answer)) => {
                self.trusted();
                Ok((answer.into_inner(), node))
            }
            Ok(Err(status)) if is_stale_token(&status) && token.is_some() => {
                self.forget(token.as_ref());
                Err(self.lost(node, status.message().to_owned(), false))
            }
            Ok(Err(status)) => Err(self.failure(node, &status)),
            Err(_) => Err(self.lost(node, format!("it opened no stream within {limit:?}"), true)),
        }
    }

    /// A stream of the current node failed, or fell silent.
    pub fn stream_failed(&self, status: Option<&Status>) -> Failure {
        let node = self.nodes.current.load(Ordering::Acquire);
        match status {
            Some(status) => self.failure(node, status),
            None => self.lost(node, "its stream ended or fell silent".into(), true),
        }
    }

    fn grpc(&self, node: usize) -> Grpc<Channel> {
        Grpc::new(self.channels[node].clone()).max_decoding_message_size(ANSWER_BYTES)
    }

    async fn ask<Q, A>(
        &self,
        node: usize,
        path: &'static str,
        question: Q,
        token: Option<MetadataValue<Ascii>>,
    ) -> std::result::Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc(node);
        grpc.ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let mut request = Request::new(question);
        if let Some(token) = token {
            request.metadata_mut().insert("token", token);
        }
        let answer = grpc
            .unary(
                request,
                PathAndQuery::from_static(path),
                ProstCodec::<Q, A>::default(),
            )
            .await?;
        Ok(answer.into_inner())
    }

    /// The token to ask with, where the URL names a user.
    async fn token(
        &self,
        node: usize,
        limit: Duration,
    ) -> std::result::Result<Option<MetadataValue<Ascii>>, Failure> {
        let Some((name, password)) = &self.nodes.login else {
            return Ok(None);
        };
        if let Some(token) = &*self.nodes.token.lock() {
            return Ok(Some(token.clone()));
        }
        let question = AuthenticateRequest {
            name: name.clone(),
            password: password.reveal().to_owned(),
        };
        let asked = self.ask::<_, AuthenticateResponse>(node, rpc::AUTHENTICATE, question, None);
        let unsent = |failure| match failure {
            Failure::Lost { what, .. } => Failure::Lost { what, sent: false },
            refused => refused,
        };
        let answer = match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => return Err(unsent(self.failure(node, &status))),
            Err(_) => {
                return Err(self.lost(node, format!("it let nobody in within {limit:?}"), false));
            }
        };
        let token = MetadataValue::try_from(answer.token).map_err(|_| {
            Failure::Refused(Error::new(
                ErrorKind::Protocol,
                "etcd gave a token that can't be sent",
            ))
        })?;
        *self.nodes.token.lock() = Some(token.clone());
        Ok(Some(token))
    }

    fn forget(&self, token: Option<&MetadataValue<Ascii>>) {
        let mut current = self.nodes.token.lock();
        if current.as_ref() == token {
            *current = None;
        }
    }

    /// Nobody answered: the next node is asked from now on.
    fn lost(&self, node: usize, what: String, sent: bool) -> Failure {
        self.trusted();
        Failure::Lost {
            what: self.go_on(node, what),
            sent,
        }
    }

    /// A node's certificate is refused, and the next one is asked. Where that of each is, waiting mends nothing.
    fn distrusted(&self, node: usize, error: Error) -> Failure {
        // With more nodes than bits there are always some left.
        let bit = u32::try_from(node)
            .ok()
            .and_then(|node| 1u64.checked_shl(node));
        let before = self
            .nodes
            .distrusted
            .fetch_or(bit.unwrap_or(0), Ordering::AcqRel);
        let what = self.go_on(node, error.message().to_owned());
        match (before | bit.unwrap_or(0)).count_ones() as usize == self.channels.len() {
            true => Failure::Refused(error),
            false => Failure::Lost { what, sent: false },
        }
    }

    /// Something else came of asking a node.
    fn trusted(&self) {
        if self.nodes.distrusted.load(Ordering::Acquire) != 0 {
            self.nodes.distrusted.store(0, Ordering::Release);
        }
    }

    /// The next node is asked from now on. Gives what is noted.
    fn go_on(&self, node: usize, what: String) -> String {
        let next = (node + 1) % self.channels.len();
        // Somebody else may have gone on already.
        let _ =
            self.nodes
                .current
                .compare_exchange(node, next, Ordering::AcqRel, Ordering::Acquire);
        let what = format!("{}: {what}", self.nodes.named[node].0);
        *self.nodes.trouble.lock() = Some((what.clone(), Instant::now()));
        what
    }

    /// What a status means: by its code, and by etcd's words where one code has several meanings
    /// (`etcdserver/api/v3rpc/rpctypes/error.go` of etcd 3.4).
    fn failure(&self, node: usize, status: &Status) -> Failure {
        let message = status.message();
        let kind = match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition
                if message.contains("auth") || message.contains("user") =>
            {
                ErrorKind::PermissionDenied
            }
            Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
            Code::InvalidArgument | Code::FailedPrecondition => ErrorKind::InvalidArgument,
            Code::OutOfRange
                if message.contains("compacted") || message.contains("future revision") =>
            {
                ErrorKind::SnapshotLost
            }
            Code::OutOfRange if message.contains("decoded message length too large") => {
                return Failure::TooLarge;
            }
            Code::ResourceExhausted if message.contains("space exceeded") => ErrorKind::OutOfSpace,
            Code::ResourceExhausted if message.contains("trying to send message larger") => {
                ErrorKind::InvalidArgument
            }
            Code::ResourceExhausted => ErrorKind::Busy,
            Code::NotFound => ErrorKind::NotFound,
            Code::DataLoss => ErrorKind::Corruption,
            Code::Unimplemented => ErrorKind::IncompatibleVersion,
            _ => {
                return match tls::refusal(&self.nodes.named[node].0, status) {
                    Some(error) => self.distrusted(node, error),
                    None => self.lost(node, words_of(status), !was_unsent(status)),
                };
            }
        };
        Failure::Refused(
            Error::new(kind, format!("etcd refused: {message}")).with_source(status.clone()),
        )
    }
}

/// The token is of a server that has forgotten it, or it is too old. etcd says so before it looks at the question.
fn is_stale_token(status: &Status) -> bool {
    let message = status.message();
    status.code() == Code::Unauthenticated
        || message.contains("invalid auth token")
        || message.contains("revision of auth store is old")
}

/// What a status says, with the cause at its bottom.
fn words_of(status: &Status) -> String {
    let message = status.message();
    let mut cause = std::error::Error::source(status);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let cause = cause
        .map(ToString::to_string)
        .filter(|cause| !message.contains(cause.as_str()));
    cause.map_or_else(|| message.to_owned(), |cause| format!("{message}: {cause}"))
}

/// Whether the connection was never made.
fn was_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
