//! One follower's connection, from its preamble to its end.
//!
//! Requests are answered in the order they came. All whole frames that one read brought are taken together: writes
//! that follow each other become one group for the engine, and their answers one write to the socket. Of a long burst the
//! first answers go out while the rest is worked at, so that the peer works meanwhile.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_engine::Write;
use level_party_os::{DirIdentity, Stream};

use super::absent::Attached;
use super::grants::Grants;
use super::server::{Serving, Shared};
use super::service::{Lasting, Served, Service, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::follower::WhatHasCome;
use crate::page::Page;
use crate::protocol::{
    Answer, ClientMessage, Failure, FrameBuffer, Hello, MAX_HELLO_FRAME, MAX_HELLO_ITEMS,
    MAX_REQUEST_FRAME, PREAMBLE_BYTES, Preamble, Request, ServerMessage, Side, Welcome, decode,
    encode_frame,
};
use crate::sign_of_life::Member;
use crate::spin::{BURST, Hope, LOOK};
use crate::state::{PLACES, StateFile};

/// How long a peer may take to say who it is, however slowly its bytes come.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Answers are written out when this many bytes have gathered.
const ANSWER_BYTES: usize = 256 << 10;
/// And of a burst of small calls, when there are this many.
const ANSWERS: usize = 32;
/// Writes of one connection are committed together up to this size.
const GROUP_BYTES: usize = 1 << 20;

/// Serves one connection until it ends.
pub(super) fn run(shared: &Shared, id: u64, stream: &Stream) -> Result<()> {
    let (hello, page, buffer) = match meet(shared, stream) {
        Ok(Met::Session(hello, page, buffer)) => (hello, page, buffer),
        Ok(Met::Side(side)) => return super::side::run(shared, stream, side),
        Err(error) => return refuse(stream, error),
    };
    if !shared.take_session(id, &hello) {
        return Ok(());
    }
    if shared.is_recovering() {
        send(stream, &ServerMessage::Recovering)?;
    }
    let Some(Serving {
        service,
        state,
        absent,
        ..
    }) = shared.wait_for_service()
    else {
        return Ok(());
    };
    let member = Member {
        session: hello.session,
        place: hello.place.filter(|place| *place < PLACES),
    };
    let grants = Arc::new(Grants::new(state.clone(), member, Some(absent.allowance())));
    shared.holds(id, &grants);
    let grants = Attached {
        grants: Some(grants),
        absent: absent.clone(),
    };
    let not_lasting = match hello.owed_sync {
        true => match service.settled()? {
            Lasting::Yes => None,
            Lasting::No(error) => Some(Failure::from(&error)),
        },
        false => None,
    };
    let welcome = Welcome {
        not_lasting,
        ..welcome(&service, &state, &hello, &grants)
    };
    grants.settle();
    absent.returned(member);
    if !service.may_answer() {
        return Ok(());
    }
    send(stream, &ServerMessage::Welcome(welcome))?;
    faults::point("welcomed");
    Conversation {
        shared,
        service,
        stream,
        page,
        grants,
        answers: Vec::new(),
        unsent: 0,
        hope: Hope::default(),
        group: Group::default(),
    }
    .run(buffer)
}

/// What a peer came for.
enum Met {
    Session(Hello, Arc<Page>, FrameBuffer),
    Side(Side),
}

/// Sends the preamble, and reads the peer's and its first message.
fn meet(shared: &Shared, stream: &Stream) -> Result<Met> {
    let io = |error| Error::io("the follower went during the handshake", error);
    let deadline = Instant::now() + HANDSHAKE_LIMIT;
    // Before anything can be refused: a refusal is a frame, and frames follow the preamble.
    (&*stream)
        .write_all(&Preamble::ours().encode())
        .map_err(io)?;
    let wait =
        || match stream.wait_readable(Some(deadline.saturating_duration_since(Instant::now()))) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::protocol(
                "the follower was too slow to say who it is",
            )),
            Err(error) => Err(io(error)),
        };
    let mut preamble = [0; PREAMBLE_BYTES];
    let mut handles = Vec::new();
    let mut read = 0;
    while read < PREAMBLE_BYTES {
        wait()?;
        let (count, more) = stream.recv_handles(&mut preamble[read..]).map_err(io)?;
        if count == 0 {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        if read == 0 {
            handles = more;
        } else if !more.is_empty() {
            // Or they would gather, some with each byte, until this process has none left.
            return Err(Error::protocol(
                "handles come with the preamble's first byte only",
            ));
        }
        read += count;
    }
    Preamble::decode(&preamble)?.check()?;
    let mut handles = handles.into_iter();
    let (directory, page) = match (handles.next(), handles.next(), handles.next()) {
        (Some(directory), page, None) => (directory, page),
        _ => return Err(Error::protocol("the preamble must bring one handle or two")),
    };
    let theirs = DirIdentity::of(&directory).map_err(io)?;
    if theirs != shared.directory {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "this endpoint belongs to another directory (was the directory copied with its socket?)",
        ));
    }
    let mut buffer = FrameBuffer::new(MAX_HELLO_FRAME);
    loop {
        if let Some(frame) = buffer.next_frame()? {
            return match decode(frame)? {
                ClientMessage::Hello(hello)
                    if hello.pins.len().max(hello.unresolved.len()) <= MAX_HELLO_ITEMS =>
                {
                    let page =
                        page.ok_or_else(|| Error::protocol("a session must bring its page"))?;
                    let page = Page::from_handle(page).map_err(|error| {
                        Error::protocol("the session page is not in order").with_source(error)
                    })?;
                    buffer.set_largest_frame(MAX_REQUEST_FRAME);
                    Ok(Met::Session(hello, Arc::new(page), buffer))
                }
                ClientMessage::Side(side) => Ok(Met::Side(side)),
                _ => Err(Error::protocol(
                    "the first message must be a hello within its limits",
                )),
            };
        }
        wait()?;
        if buffer.fill(stream).map_err(io)? == 0 {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn welcome(service: &Service, state: &StateFile, hello: &Hello, grants: &Grants) -> Welcome {
    let unbroken = hello
        .last_epoch
        .is_some_and(|epoch| service.follows_unbroken(state, epoch));
    Welcome {
        epoch: service.epoch(),
        leader_pid: std::process::id(),
        options: service.options().clone(),
        recovered: hello
            .unresolved
            .iter()
            .map(|e| service.recovered(state, *e))
            .collect(),
        unbroken,
        pins_held: hello
            .pins
            .iter()
            .map(|s| unbroken && service.adopt(*s, grants))
            .collect(),
        not_lasting: None,
        losses: service.opening().losses,
    }
}

fn refuse(stream: &Stream, error: Error) -> Result<()> {
    // A peer that has gone needs no reason.
    let _ = send(stream, &ServerMessage::Refused(Failure::from(&error)));
    Err(error)
}

fn send(stream: &Stream, message: &ServerMessage<'_>) -> Result<()> {
    let mut frame = Vec::new();
    encode_frame(message, &mut frame);
    (&*stream)
        .write_all(&frame)
        .map_err(|error| Error::io("the follower went", error))
}

struct Conversation<'a> {
    shared: &'a Shared,
    service: Arc<Service>,
    stream: &'a Stream,
    page: Arc<Page>,
    grants: Attached,
    answers: Vec<u8>,
    /// How many answers these are.
    unsent: usize,
    hope: Hope,
    group: Group,
}

/// Writes that follow each other.
#[derive(Default)]
struct Group {
    ids: Vec<u64>,
    writes: Vec<Write>,
    bytes: usize,
    /// One of them asks for a sync.
    syncs: bool,
}

/// The conversation ends: the peer has gone or broke the protocol, or the leadership is over.
enum End {
    Peer(Error),
    Leadership,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Peer(error)
    }
}

impl Conversation<'_> {
    fn run(mut self, mut buffer: FrameBuffer) -> Result<()> {
        loop {
            match self.turn(&mut buffer) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(End::Peer(error)) => return Err(error),
                Err(End::Leadership) => {
                    self.service.end();
                    return self.write_answers();
                }
            }
        }
    }

    /// Answers all whole frames and reads once more. False: the peer has gone.
    fn turn(&mut self, buffer: &mut FrameBuffer) -> std::result::Result<bool, End> {
        let mut calls = 0;
        while let Some(frame) = buffer.next_frame()? {
            calls += 1;
            match decode(frame)? {
                ClientMessage::Call {
                    id,
                    request: Request::Write(write),
                } => {
                    match self.service.page_write(&self.page, &write) {
                        Ok(ready) => self.group.push(id, ready, write.batch.len()),
                        Err(stop) => {
                            self.commit()?;
                            self.answer(id, Err(stop))?;
                        }
                    }
                    // A sync costs more than answering sooner gains.
                    let many = self.group.ids.len() >= ANSWERS && !self.group.syncs;
                    if self.group.bytes >= GROUP_BYTES || many {
                        self.commit()?;
                    }
                }
                ClientMessage::Call { id, request } => {
                    self.commit()?;
                    let members = || self.shared.members();
                    let served = self.service.execute(&request, &self.grants, &members);
                    self.answer(id, served)?;
                }
                ClientMessage::Unpin { sequence } => self.grants.release(sequence),
                ClientMessage::Hello(_) | ClientMessage::Side(_) => {
                    return Err(Error::protocol("a second hello on one connection").into());
                }
            }
        }
        self.commit()?;
        self.write_answers()?;
        let read = match calls >= BURST && self.hope.is_there() {
            true => self.look(buffer),
            false => buffer.fill(self.stream),
        };
        let read = read.map_err(|e| Error::io("the follower went", e))?;
        Ok(read > 0)
    }

    /// Reads once, awake for a moment before it sleeps.
    fn look(&mut self, buffer: &mut FrameBuffer) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            match buffer.fill(WhatHasCome(self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    self.hope.fulfilled();
                    return read;
                }
            }
            if begun.elapsed() >= LOOK {
                self.hope.disappointed();
                return buffer.fill(self.stream);
            }
            // The peer may wait for this core.
            std::thread::yield_now();
        }
    }

    /// Commits the writes that came, and answers them.
    fn commit(&mut self) -> std::result::Result<(), End> {
        if self.group.ids.is_empty() {
            return Ok(());
        }
        let Group { ids, writes, .. } = std::mem::take(&mut self.group);
        if faults::planted("ack-before-append") {
            for id in &ids {
                self.answer(*id, Ok(Answer::Written { sequence: 1 }))?;
            }
            self.write_answers()?;
            // Until its follower has read that and says more: it may die in what comes.
            let _ = self.stream.wait_readable(None);
        }
        for (id, served) in ids.into_iter().zip(self.service.write_group(writes)) {
            self.answer(id, served)?;
        }
        Ok(())
    }

    fn answer(&mut self, id: u64, served: Served) -> std::result::Result<(), End> {
        let result = match &served {
            Ok(answer) => Ok(answer.as_response()),
            Err(Stop::Failed(error)) => Err(Failure::from(error)),
            // No answer of this leadership counts any more: the follower asks the next one.
            Err(Stop::Over | Stop::Unknown(_)) => return Err(End::Leadership),
        };
        encode_frame(&ServerMessage::Reply { id, result }, &mut self.answers);
        self.unsent += 1;
        if self.answers.len() >= ANSWER_BYTES || self.unsent >= ANSWERS {
            self.write_answers()?;
        }
        Ok(())
    }

    fn write_answers(&mut self) -> Result<()> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let written = (&*self.stream).write_all(&self.answers);
        self.answers.clear();
        self.unsent = 0;
        faults::point("answers-sent");
        written.map_err(|error| Error::io("the follower went", error))
    }
}

impl Group {
    fn push(&mut self, id: u64, write: Write, bytes: usize) {
        self.ids.push(id);
        self.syncs |= write.sync;
        self.writes.push(write);
        self.bytes += bytes;
    }
}
