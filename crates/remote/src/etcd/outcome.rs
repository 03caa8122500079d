//! What becomes of one group: sent until it has an outcome, so that it takes effect once.
//!
//! The group of mark `n` compares the session's last mark with the one
//! that is known, and puts `n`, so that sending it again is also looking at what became of it ([`Session`]):
//!
//! | the answer to a sending | so |
//! |---|---|
//! | succeeded | the group is made, at the answer's revision |
//! | the session holds `n` | an earlier sending had made it, at the revision of the session's key |
//! | the session holds the mark before | conditions do not hold. An earlier sending that may be on its way is fenced first |
//! | the session holds a later mark | an earlier group of unknown outcome was made; it is sent again behind that |
//! | the session holds an older mark than one that was acknowledged | etcd was restored: the next history begins, and it is sent in a new session |
//! | no session | etcd has lost it: `OutcomeUnknown`, if it was sent before; else it is sent in a new session |
//! | refused | nothing was written; an earlier sending is fenced first |
//! | none | it is sent again, to the next node, until the deadline: then `OutcomeUnknown` |

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::runtime::Handle;

use super::client::{ATTEMPT, Attempts, Failure};
use super::group::{Made, Pending, REQUEST_BYTES, other_history, over};
use super::history::{Cluster, Known, headed};
use super::layout::Sequences;
use super::rpc::{self, Compare, RequestOp, TxnRequest, TxnResponse};
use super::runtime::late;
use super::session::{Mark, Session, Told, unknown};
use crate::answer::ServiceState;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Conditions;

/// What makes groups.
pub struct Maker {
    pub cluster: Arc<Cluster>,
    /// Where sessions are renewed, for as long as they last.
    pub runtime: Handle,
    /// Whether a copy is made into the database.
    pub fills: bool,
}

/// What the task that makes groups knows.
#[derive(Default)]
pub struct State {
    pub session: Option<Session>,
    /// The number of the last mark.
    number: u64,
}

impl State {
    fn next_mark(&mut self) -> Result<Mark> {
        self.number += 1;
        Mark::new(self.number)
    }
}

/// A group on its way.
struct Sending {
    mark: Mark,
    deadline: Instant,
    /// Whether a sending without an answer may have taken effect, or may yet.
    sent_before: bool,
    /// Why the last sending had no answer.
    why: String,
}

impl Sending {
    /// What the callers are told where something else failed meanwhile.
    fn unsettled(&self, error: Error) -> Error {
        match self.sent_before {
            true => unknown(error.message()),
            false => error,
        }
    }
}

/// What came of one sending.
enum Step {
    Made(Made),
    /// It came to nothing, if no earlier sending does.
    Settle(Result<Option<Made>>),
    Again,
    /// There is no answer.
    Lost,
}

/// What the caller of a write is told whose session etcd has lost.
const NO_RECORD: &str = "etcd has no record of this process any more";

impl Maker {
    /// Makes one group, and answers each of its writes.
    pub async fn make(&self, state: &mut State, group: Vec<Pending>) {
        let deadline = group
            .iter()
            .map(|pending| pending.deadline)
            .max()
            .unwrap_or_else(Instant::now);
        match self.outcome(state, &group, deadline).await {
            // Perhaps for one of them alone: each is told its own.
            Err(error) if group.len() > 1 && is_about_one(error.kind()) => {
                for pending in group {
                    let alone = [pending];
                    let outcome = self.outcome(state, &alone, alone[0].deadline).await;
                    let [pending] = alone;
                    let last = outcome.map(|made| made.map(|made| pending.last(made, 0)));
                    pending.answer(last);
                }
            }
            Ok(Some(made)) => {
                let mut before = 0;
                for pending in group {
                    let last = pending.last(made, before);
                    before += pending.ops.len();
                    pending.answer(Ok(Some(last)));
                }
            }
            Ok(None) => group
                .into_iter()
                .for_each(|pending| pending.answer(Ok(None))),
            Err(error) => group
                .into_iter()
                .for_each(|pending| pending.answer(Err(error.clone()))),
        }
    }

    /// Where a group was made; `None`: its conditions do not hold.
    async fn outcome(
        &self,
        state: &mut State,
        group: &[Pending],
        deadline: Instant,
    ) -> Result<Option<Made>> {
        let mut attempts = Attempts::new(deadline, ATTEMPT);
        let mut sending = Sending {
            mark: state.next_mark()?,
            deadline,
            sent_before: false,
            why: "no node was asked".to_owned(),
        };
        while let Some(limit) = attempts.limit() {
            let known = self.known(&sending).await?;
            let step = match () {
                () if !self.may_write(&known) => Step::Settle(Err(known.service.refusal())),
                () if other_history(group, known.history()) => Step::Settle(Ok(None)),
                () => self.send(state, group, &known, &mut sending, limit).await?,
            };
            match step {
                Step::Made(made) => return Ok(Some(made)),
                Step::Settle(found) => return self.settle(state, &sending, found).await,
                Step::Again => {}
                Step::Lost => attempts.failed(self.cluster.client.node_count()).await,
            }
        }
        Err(match sending.sent_before {
            true => unknown(sending.why),
            false => late(sending.why),
        })
    }

    /// Sends a group once.
    async fn send(
        &self,
        state: &mut State,
        group: &[Pending],
        known: &Arc<Known>,
        sending: &mut Sending,
        limit: Duration,
    ) -> Result<Step> {
        let session = match &mut state.session {
            Some(session) => session,
            None => {
                let begun = self.begin_session(sending, state.number - 1).await?;
                state.session.insert(begun)
            }
        };
        let question = self.question(session, sending.mark, group, known);
        let size = question.encoded_len();
        if size > REQUEST_BYTES {
            return Err(over(format!(
                "a write with what it rests on has {size} bytes, and etcd takes {REQUEST_BYTES}"
            )));
        }
        let (client, seen) = (&self.cluster.client, self.cluster.client.seen());
        match client
            .attempt::<_, TxnResponse>(rpc::TXN, &question, limit)
            .await
        {
            Ok(answer) if answer.succeeded => {
                session.made(sending.mark, known.history());
                let made = self.made(known, &answer, seen, sending.deadline).await;
                made.map(Step::Made)
                    .map_err(|error| unknown(error.message()))
            }
            Ok(answer) => match session.told(sending.mark, &answer) {
                Told::Done(revision) => Ok(Step::Made((known.sequences(), revision))),
                Told::Behind => Ok(Step::Again),
                // Unless history or service state have changed: then the next round judges.
                Told::Refused if self.cluster.is_unchanged(known, &answer, seen) => {
                    Ok(Step::Settle(Ok(None)))
                }
                Told::Refused => self.look_again(sending).await.map(|_| Step::Again),
                Told::WentBack => {
                    self.lose_session(state, sending).await?;
                    Ok(Step::Again)
                }
                Told::Gone => {
                    self.lose_session(state, sending).await?;
                    match sending.sent_before {
                        true => Err(unknown(NO_RECORD)),
                        false => Ok(Step::Again),
                    }
                }
            },
            Err(Failure::Lost { what, sent }) => {
                sending.sent_before |= sent;
                sending.why = what;
                Ok(Step::Lost)
            }
            Err(Failure::Refused(error)) => Ok(Step::Settle(Err(error))),
            Err(Failure::TooLarge) => Err(unknown("etcd gave an answer that is too large")),
        }
    }

    /// Where a group was made, by an answer that succeeded.
    async fn made(
        &self,
        known: &Arc<Known>,
        answer: &TxnResponse,
        seen: i64,
        deadline: Instant,
    ) -> Result<Made> {
        let header = headed(answer.header)?;
        let current = match self.cluster.is_of(known, &header, seen) {
            true => Arc::clone(known),
            false => self.cluster.look_again(deadline).await?,
        };
        Ok((current.sequences(), header.revision))
    }

    /// The session is gone, or holds an older mark. If its lease cannot have ended, etcd was restored.
    async fn lose_session(&self, state: &mut State, sending: &Sending) -> Result<()> {
        let Some(session) = state.session.take() else {
            return Ok(());
        };
        if session.may_have_ended() {
            return Ok(());
        }
        let begun = self
            .cluster
            .begin_next(session.history(), sending.deadline)
            .await;
        begun.map_err(|error| sending.unsettled(error))
    }

    /// History and service state; looked at anew where the latter refuses this handle's writes, as it may have changed.
    async fn known(&self, sending: &Sending) -> Result<Arc<Known>> {
        let known = self.cluster.known();
        match self.may_write(&known) {
            true => Ok(known),
            false => self.look_again(sending).await,
        }
    }

    /// Whether this handle may write: one that fills only while the database is filled and not sealed, every other only while it is live.
    fn may_write(&self, known: &Known) -> bool {
        match (&known.service, self.fills) {
            (ServiceState::Live, fills) => !fills,
            (filling @ ServiceState::Filling { .. }, fills) => fills && !filling.is_sealed(),
            (ServiceState::Moved { .. }, _) => false,
        }
    }

    async fn look_again(&self, sending: &Sending) -> Result<Arc<Known>> {
        let looked = self.cluster.look_again(sending.deadline).await;
        looked.map_err(|error| sending.unsettled(error))
    }

    async fn begin_session(&self, sending: &Sending, number: u64) -> Result<Session> {
        // The session before may have been lost with other writes.
        self.look_again(sending).await?;
        let first = Mark::new(number)?;
        let session = Session::begin(&self.cluster, sending.deadline, first).await;
        let session = session.map_err(|error| sending.unsettled(error))?;
        let (renewal, cluster) = (session.renewal(), Arc::clone(&self.cluster));
        self.runtime
            .spawn(async move { renewal.run(&cluster).await });
        Ok(session)
    }

    /// What the caller of a write that came to nothing is told: `found`, once an earlier sending can have no effect any more.
    async fn settle(
        &self,
        state: &mut State,
        sending: &Sending,
        found: Result<Option<Made>>,
    ) -> Result<Option<Made>> {
        if !sending.sent_before {
            return found;
        }
        let fence = state.next_mark()?;
        let Some(session) = state.session.as_mut() else {
            return Err(unknown(NO_RECORD));
        };
        let (cluster, deadline) = (&self.cluster, sending.deadline);
        match session.fence(cluster, deadline, sending.mark, fence).await {
            Ok(Told::Done(revision)) => Ok(Some((cluster.known().sequences(), revision))),
            Ok(Told::Refused | Told::Behind) => found,
            // Nothing of before can come any more.
            Ok(Told::WentBack) => self.lose_session(state, sending).await.and(found),
            Ok(Told::Gone) => {
                self.lose_session(state, sending).await?;
                Err(unknown(NO_RECORD))
            }
            Err(Failure::Lost { what, .. }) => Err(unknown(what)),
            Err(Failure::Refused(error)) => Err(unknown(error.message())),
            Err(Failure::TooLarge) => Err(unknown("etcd gave an answer that is too large")),
        }
    }

    fn question(
        &self,
        session: &Session,
        mark: Mark,
        group: &[Pending],
        known: &Known,
    ) -> TxnRequest {
        let mut compare = vec![
            session.is_next(),
            self.cluster.is_current(known),
            self.cluster.is_in_service(known),
        ];
        for pending in group {
            compare.extend(self.comparisons(&pending.conditions, known.sequences()));
        }
        let mut success: Vec<RequestOp> = group
            .iter()
            .flat_map(|pending| pending.ops.iter().cloned())
            .collect();
        success.push(session.put(mark));
        TxnRequest {
            compare,
            success,
            failure: [vec![session.look()], self.cluster.look_at_known()].concat(),
        }
    }

    fn comparisons(
        &self,
        conditions: &Conditions,
        sequences: Sequences,
    ) -> impl Iterator<Item = Compare> {
        let layout = &self.cluster.layout;
        let keys = conditions.keys.iter().map(move |(key, held)| {
            let key = layout.entry(key);
            match held.map(|held| sequences.revision(held)) {
                None => Compare::absent(key),
                Some(Some(revision)) => Compare::put_at(key, revision),
                Some(None) => Compare::never(key),
            }
        });
        let ranges = conditions.ranges.iter().filter_map(move |(range, since)| {
            let (key, range_end) = layout.range(range)?;
            let since = sequences.revision(*since).unwrap_or(0);
            Some(Compare::unchanged_since(key, range_end, since))
        });
        keys.chain(ranges)
    }
}

/// Whether a refusal may be for what one of several writes is.
fn is_about_one(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidArgument | ErrorKind::PermissionDenied
    )
}
