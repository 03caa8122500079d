//! Changes, by etcd's own watch from a revision on.
//!
//! A task reads the watch's stream into a queue of bounded size; where nobody takes from it, the stream waits, and etcd with it.
//! What is told ends with a revision, as etcd never tells a part of one (`fragment` marks an answer that goes on). A lost stream
//! is opened anew, at another node, behind the last revision that was told. The key of the history is watched beside the range.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::client::{ATTEMPT, Attempts, Failure};
use super::history::{Cluster, Known};
use super::layout::Sequences;
use super::reads::{How, newest};
use super::rpc::{
    self, Event, EventType, PutRequest, Request, StatusResponse, TxnRequest, TxnResponse,
    WatchAsked, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use super::status::tells_progress;
use crate::answer::{Change, Gap, Moment, Told};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::{Feed, FeedWaker};
use crate::request::{KeyRange, Start};

/// Bytes of changes that wait for the feed's reader, before the stream waits too.
const QUEUE_BYTES: usize = 4 << 20;
/// How often a silent stream is asked whether it lives, and how long it may stay silent.
const TICK: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(3);
/// How long a feed tries to reach a node before it looks anew; it never gives up.
const ROUND: Duration = Duration::from_secs(30);
/// The watches of one stream: the range's and the history's.
const RANGE: i64 = 1;
const HISTORY: i64 = 2;
/// The watch that answers to progress requests name: all of the stream's.
const PROGRESS: i64 = -1;

/// A feed.
pub struct EtcdFeed {
    shared: Arc<Shared>,
    through: Moment,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
    /// The reader took something.
    taken: Notify,
}

#[derive(Default)]
struct State {
    told: VecDeque<(Told, usize)>,
    bytes: usize,
    heard: Option<Instant>,
    failed: Option<Error>,
    woken: bool,
}

impl Shared {
    fn heard(&self) {
        self.state.lock().heard = Some(Instant::now());
    }

    /// Waits for room, and tells.
    async fn tell(&self, told: Told) {
        let change =
            |change: &Change| change.key.len() + change.value.as_ref().map_or(0, Vec::len) + 64;
        let bytes: usize = told.changes.iter().map(change).sum();
        loop {
            let taken = self.taken.notified();
            {
                let mut state = self.state.lock();
                let is_progress = told.gap.is_none() && told.changes.is_empty();
                if let Some((last, _)) = state.told.back_mut().filter(|_| is_progress) {
                    last.through = told.through;
                    state.heard = Some(Instant::now());
                    return;
                }
                if state.bytes < QUEUE_BYTES {
                    state.bytes += bytes;
                    state.told.push_back((told, bytes));
                    state.heard = Some(Instant::now());
                    break;
                }
            }
            taken.await;
        }
        self.news.notify_all();
    }

    fn fail(&self, error: Error) {
        self.state.lock().failed = Some(error);
        self.news.notify_all();
    }
}

/// Where the watch goes on.
struct Position {
    /// Up to where everything was told.
    through: Moment,
    /// The oldest change that is kept is the first, and no gap.
    from_beginning: bool,
}

impl EtcdFeed {
    /// Begins a feed.
    ///
    /// # Errors
    /// `Timeout`; what etcd refuses.
    pub async fn open(
        cluster: Arc<Cluster>,
        how: How,
        from: Start,
        range: KeyRange,
    ) -> Result<Box<dyn Feed>> {
        let now = newest(&cluster, how).await?;
        let history = now.history;
        let at = |sequence| Moment { sequence, history };
        let first = cluster.known().sequences().of(1, 0);
        let (through, gap) = match from {
            Start::Now => (now, None),
            Start::Beginning => (at(0), None),
            // Of this history: those of others lie apart.
            Start::Sequence(sequence)
                if sequence <= now.sequence && (sequence >= first || history.number == 1) =>
            {
                (at(sequence), None)
            }
            Start::Moment(moment)
                if moment.history == history && moment.sequence <= now.sequence =>
            {
                (moment, None)
            }
            Start::Sequence(sequence) | Start::Moment(Moment { sequence, .. }) => {
                (now, Some(gap(sequence, now)))
            }
        };
        let shared = Arc::new(Shared::default());
        shared.heard();
        let position = Position {
            through,
            from_beginning: from == Start::Beginning,
        };
        let telling = Arc::clone(&shared);
        let task = Handle::current().spawn(async move {
            if let Some(gap) = gap {
                telling.tell(told_gap(gap, now)).await;
            }
            if let Err(error) = follow(&cluster, &telling, position, range).await {
                telling.fail(error);
            }
        });
        Ok(Box::new(EtcdFeed {
            shared,
            through,
            task: task.abort_handle(),
        }))
    }
}

/// What is missing behind a position whose history ended, or that is beyond the newest change.
fn gap(position: u64, now: Moment) -> Gap {
    Gap {
        from: position.saturating_add(1),
        resume: now.sequence + 1,
    }
}

fn told_gap(gap: Gap, through: Moment) -> Told {
    Told {
        gap: Some(gap),
        changes: Vec::new(),
        through,
    }
}

fn told_progress(through: Moment) -> Told {
    Told {
        gap: None,
        changes: Vec::new(),
        through,
    }
}

impl Feed for EtcdFeed {
    fn through(&self) -> Moment {
        self.through
    }

    fn next(&mut self, until: Instant) -> Result<Option<Told>> {
        let mut state = self.shared.state.lock();
        loop {
            if std::mem::take(&mut state.woken) {
                return Ok(None);
            }
            if let Some((told, bytes)) = state.told.pop_front() {
                state.bytes -= bytes;
                drop(state);
                self.shared.taken.notify_one();
                self.through = told.through;
                return Ok(Some(told));
            }
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.shared.news.wait_for(&mut state, left);
        }
    }

    fn heard(&self) -> Instant {
        self.shared.state.lock().heard.unwrap_or_else(Instant::now)
    }

    fn waker(&self) -> FeedWaker {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || {
            shared.state.lock().woken = true;
            shared.news.notify_all();
        })
    }
}

impl Drop for EtcdFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Puts the key that each feed without an end watches too. Since a watcher's events come in the order of their revisions, a feed that
/// is told of it has told all before.
pub async fn tick(cluster: &Cluster, how: How) -> Result<()> {
    let put = PutRequest {
        key: cluster.layout.tick(),
        value: Vec::new(),
        lease: 0,
    };
    let question = TxnRequest {
        compare: Vec::new(),
        success: vec![Request::Put(put).into()],
        failure: Vec::new(),
    };
    let mut attempts = Attempts::new(how.deadline, ATTEMPT);
    let asked =
        cluster
            .client
            .ask_until::<_, TxnResponse>(rpc::TXN, &question, &mut attempts, true);
    asked.await.map(drop)
}

/// Follows the changes of a range, over lost streams.
async fn follow(
    cluster: &Cluster,
    shared: &Shared,
    mut position: Position,
    range: KeyRange,
) -> Result<()> {
    let Some((key, range_end)) = cluster.layout.watched(&range) else {
        return std::future::pending().await; // no key, and so no change
    };
    let mut attempts = Attempts::new(Instant::now() + ROUND, ATTEMPT);
    loop {
        match watch(cluster, shared, &mut position, &key, &range_end).await {
            Err(Failure::Refused(error)) if error.kind() != ErrorKind::Timeout => {
                return Err(error);
            }
            Err(Failure::TooLarge) => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "etcd told a change that is too large",
                ));
            }
            Ok(()) => attempts = Attempts::new(Instant::now() + ROUND, ATTEMPT),
            Err(Failure::Refused(_) | Failure::Lost { .. }) => {
                attempts.failed(cluster.client.node_count()).await;
                if attempts.limit().is_none() {
                    attempts = Attempts::new(Instant::now() + ROUND, ATTEMPT);
                }
            }
        }
    }
}

/// Follows one stream until it ends. `Ok`: after it had told something, or to begin anew behind a gap.
async fn watch(
    cluster: &Cluster,
    shared: &Shared,
    position: &mut Position,
    key: &[u8],
    range_end: &[u8],
) -> std::result::Result<(), Failure> {
    let how = How {
        deadline: Instant::now() + ROUND,
        retry: true,
    };
    let known = cluster
        .look_again(how.deadline)
        .await
        .map_err(Failure::Refused)?;
    if known.history() != position.through.history {
        let now = newest(cluster, how).await.map_err(Failure::Refused)?;
        shared
            .tell(told_gap(gap(position.through.sequence, now), now))
            .await;
        *position = Position {
            through: now,
            from_beginning: false,
        };
        return Ok(());
    }
    let at = position.through.sequence;
    let first = known.sequences().next_revision(at);
    let (ask, asked) = mpsc::channel(4);
    // No later than what there is: some versions of etcd answer no progress request while a watch begins later (issue 20242).
    let first = match cluster.client.seen() {
        0 => first,
        seen => first.min(seen),
    };
    for question in questions(cluster, &known, key, range_end, first) {
        // There is room for both.
        let _ = ask.try_send(question);
    }
    let client = &cluster.client;
    let (stream, node) = client
        .stream(rpc::WATCH, ReceiverStream::new(asked), ATTEMPT)
        .await?;
    let status: StatusResponse = client
        .attempt_at(node, rpc::STATUS, &rpc::Nothing {}, ATTEMPT)
        .await?;
    Stream {
        cluster,
        shared,
        position,
        sequences: known.sequences(),
        cluster_id: known.meta.cluster,
        tells_progress: tells_progress(&status.version),
        answers: stream,
        ask,
        pending: Vec::new(),
    }
    .run()
    .await
}

fn questions(
    cluster: &Cluster,
    known: &Known,
    key: &[u8],
    range_end: &[u8],
    first: i64,
) -> [WatchRequest; 2] {
    let range = WatchCreateRequest {
        key: key.to_vec(),
        range_end: range_end.to_vec(),
        start_revision: first,
        watch_id: RANGE,
        fragment: true,
    };
    let history = WatchCreateRequest {
        key: cluster.layout.meta(),
        range_end: Vec::new(),
        // What was before may have been forgotten, and is known.
        start_revision: known.revision.max(first),
        watch_id: HISTORY,
        fragment: false,
    };
    [range, history].map(|watch| WatchAsked::Create(watch).into())
}

/// One stream.
struct Stream<'a> {
    cluster: &'a Cluster,
    shared: &'a Shared,
    position: &'a mut Position,
    sequences: Sequences,
    cluster_id: u64,
    /// Whether an answer to a progress request tells how far the stream is.
    tells_progress: bool,
    answers: Streaming<WatchResponse>,
    ask: mpsc::Sender<WatchRequest>,
    /// Events of an answer of which more follows.
    pending: Vec<Event>,
}

impl Stream<'_> {
    async fn run(mut self) -> std::result::Result<(), Failure> {
        let mut heard = Instant::now();
        loop {
            match tokio::time::timeout(TICK, self.answers.message()).await {
                Ok(Ok(Some(answer))) => {
                    heard = Instant::now();
                    self.shared.heard();
                    if self.take(answer).await? {
                        return Ok(());
                    }
                }
                Ok(Ok(None)) => return Err(self.cluster.client.stream_failed(None)),
                Ok(Err(status)) => return Err(self.cluster.client.stream_failed(Some(&status))),
                Err(_) if heard.elapsed() >= SILENCE => {
                    return Err(self.cluster.client.stream_failed(None));
                }
                // The answer says that the node lives, and where it may be believed, that nothing was left out up to its revision.
                Err(_) => {
                    let progress = WatchAsked::Progress(WatchProgressRequest {});
                    // Full: the last question has not been taken yet.
                    let _ = self.ask.try_send(progress.into());
                }
            }
        }
    }

    /// Takes one answer; whether the stream is over.
    async fn take(&mut self, answer: WatchResponse) -> std::result::Result<bool, Failure> {
        if answer.watch_id == HISTORY {
            // The history that is watched is its first event; any other one ends it.
            return Ok(answer.canceled || answer.events.iter().any(|event| !self.is_known(event)));
        }
        if answer.compact_revision > 0 {
            self.forgotten(answer.compact_revision).await;
            return Ok(true);
        }
        if answer.canceled {
            let what = format!("etcd ended the watch: {}", answer.cancel_reason);
            return match answer.cancel_reason.contains("permission") {
                true => Err(Failure::Refused(Error::new(
                    ErrorKind::PermissionDenied,
                    what,
                ))),
                false => Err(Failure::Lost { what, sent: false }),
            };
        }
        if answer.events.is_empty() {
            self.progress(&answer).await;
            return Ok(false);
        }
        self.pending.extend(answer.events);
        // Of an answer that goes on, the last revision may go on too.
        let last = self.pending.last().map(event_revision);
        let whole = match last.filter(|_| answer.fragment) {
            Some(last) => self
                .pending
                .partition_point(|event| event_revision(event) < last),
            None => self.pending.len(),
        };
        let events: Vec<Event> = self.pending.drain(..whole).collect();
        if !events.is_empty() {
            self.tell(events).await.map_err(Failure::Refused)?;
        }
        Ok(false)
    }

    /// An answer without events: to a progress request, or that the watch was made.
    async fn progress(&mut self, answer: &WatchResponse) {
        let before = self.position.through;
        let revision = progress_of(answer, self.cluster_id)
            .filter(|_| self.tells_progress && self.pending.is_empty());
        let sequence = revision.map_or(0, |revision| self.sequences.end_of(revision));
        if sequence > before.sequence {
            let through = Moment { sequence, ..before };
            *self.position = Position {
                through,
                from_beginning: false,
            };
            self.shared.tell(told_progress(through)).await;
        }
    }

    fn is_known(&self, event: &Event) -> bool {
        event_revision(event) == self.cluster.known().revision
    }

    /// etcd has forgotten the changes up to a revision.
    async fn forgotten(&mut self, compacted: i64) {
        let before = self.position.through;
        let through = Moment {
            sequence: self.sequences.end_of(compacted).max(before.sequence),
            ..before
        };
        if !self.position.from_beginning {
            let gap = Gap {
                from: before.sequence + 1,
                resume: through.sequence + 1,
            };
            self.shared.tell(told_gap(gap, through)).await;
        }
        self.position.through = through;
    }

    /// Tells whole revisions.
    async fn tell(&mut self, events: Vec<Event>) -> Result<()> {
        let (before, tick) = (self.position.through, self.cluster.layout.tick());
        let (mut changes, mut last, mut number) = (Vec::with_capacity(events.len()), 0, 0);
        for event in events {
            let at = event_revision(&event);
            number = if at == last { number + 1 } else { 1 };
            last = at;
            let sequence = self.sequences.of(at, number);
            // A position within a batch: its first changes were told.
            if sequence <= before.sequence {
                continue;
            }
            let kv = event.kv.unwrap_or_default();
            if kv.key == tick {
                continue;
            }
            let removed = event.kind == i32::from(EventType::Delete);
            changes.push(Change {
                sequence,
                key: self.cluster.layout.key(&kv.key)?,
                value: (!removed).then_some(kv.value),
            });
        }
        let through = Moment {
            sequence: self.sequences.end_of(last).max(before.sequence),
            ..before
        };
        *self.position = Position {
            through,
            from_beginning: false,
        };
        if !changes.is_empty() || through != before {
            self.shared
                .tell(Told {
                    gap: None,
                    changes,
                    through,
                })
                .await;
        }
        Ok(())
    }
}

/// The revision up to which all watches of a stream have told everything, by an answer to a progress request.
fn progress_of(answer: &WatchResponse, cluster_id: u64) -> Option<i64> {
    let header = answer
        .header
        .filter(|_| answer.watch_id == PROGRESS && !answer.created)?;
    (header.cluster_id == cluster_id).then_some(header.revision)
}

fn event_revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::rpc::Header;

    #[test]
    fn only_answers_to_progress_requests_tell_progress() {
        let answer = |watch_id, created, cluster_id| WatchResponse {
            header: Some(Header {
                cluster_id,
                member_id: 1,
                revision: 9,
            }),
            watch_id,
            created,
            ..WatchResponse::default()
        };
        assert_eq!(progress_of(&answer(PROGRESS, false, 7), 7), Some(9));
        assert_eq!(progress_of(&answer(PROGRESS, false, 8), 7), None);
        assert_eq!(progress_of(&answer(PROGRESS, true, 7), 7), None);
        assert_eq!(progress_of(&answer(RANGE, true, 7), 7), None);
        assert_eq!(progress_of(&answer(RANGE, false, 7), 7), None);
    }
}
