//! A peer of our own user that means no good: it loses its own connection, and nobody else anything.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use level_party_testkit::ExecChild;
use rustix::fs::SealFlags;

use crate::wire::{
    PAGE_BYTES, SEALS, Said, Wire, batch, frame, get, hello, hello_before_pins, page, preamble,
    varint, write,
};
use crate::{PROGRAM, leader, temp};

/// Connections that are opened and left alone.
const IDLE: usize = 60;
/// What all of it may cost the leader: far less than what the peer claims to send.
const MEMORY_BOUND: u64 = 64 << 20;

/// A leader, and a follower who must not notice anything.
struct Party {
    dir: tempfile::TempDir,
    leader: ExecChild,
    witness: ExecChild,
    asked: u64,
}

impl Party {
    fn new() -> Self {
        let dir = temp();
        let leader = leader(dir.path());
        let witness = ExecChild::spawn(PROGRAM, dir.path());
        let mut party = Party {
            dir,
            leader,
            witness,
            asked: 0,
        };
        party.unharmed("nothing");
        party
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leader and follower go on, after `what`.
    fn unharmed(&mut self, what: &str) {
        self.asked += 1;
        let value = format!("{} after {what}", self.asked);
        self.witness.put("witness", &value);
        assert_eq!(self.leader.get("witness").as_ref(), Some(&value));
        let status = self.witness.status();
        assert_eq!(status["role"], "follower", "after {what}: {status}");
        assert_eq!(status["epoch"], 1, "after {what}: {status}");
        assert!(
            !self.leader.stderr().contains("panicked"),
            "after {what}: {}",
            self.leader.stderr()
        );
    }

    /// A number from the leader's line in `/proc/PID/status`, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.leader.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.expect("a running process has memory");
        let kib = words.split_ascii_whitespace().next().expect("a number");
        kib.parse::<u64>().expect("a number") << 10
    }

    fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.leader.pid()));
        open.expect("it runs").count()
    }

    /// Waits until the leader has let go of all that it had for peers that are gone.
    fn wait_for_descriptors(&self, most: usize) {
        let begun = std::time::Instant::now();
        while self.descriptors() > most {
            assert!(
                begun.elapsed() < level_party_testkit::PATIENCE,
                "the leader keeps {} descriptors and had {most}",
                self.descriptors()
            );
            std::thread::yield_now();
        }
    }

    fn attach(&self, session: u64) -> Wire {
        let page = page(PAGE_BYTES, SEALS);
        let mut wire = Wire::attach_with(self.path(), session, &page).expect("it is served");
        assert_eq!(wire.next(), Said::Welcome);
        wire
    }

    fn connect(&self) -> Wire {
        Wire::connect(self.path()).expect("it is served")
    }
}

/// A refusal with these words, and the end.
fn is_refused(mut wire: Wire, words: &str) {
    match wire.next() {
        Said::Refused(why) => assert!(why.contains(words), "{why}"),
        // The end may overtake it where the peer goes on sending.
        Said::End => return,
        other => panic!("not refused but: {other:?}"),
    }
    assert!(wire.is_ended());
}

/// Each attack by its name. It ends when the leader has ended the connection.
type Attack = (&'static str, fn(&Party));

const ATTACKS: &[Attack] = &[
    ("a connection closed at once", |party| drop(party.connect())),
    ("a preamble of other bytes", |party| {
        let mut wire = party.connect();
        wire.send(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        assert!(wire.is_ended());
    }),
    ("another version", |party| {
        let mut wire = party.connect();
        wire.send(&preamble(40, 50)).expect("sent");
        is_refused(wire, "40 to 50");
    }),
    ("no handles", |party| {
        let mut wire = party.connect();
        let preamble = wire.preamble();
        wire.send(&preamble).expect("sent");
        is_refused(wire, "the preamble must bring");
    }),
    ("handles with each byte", |party| {
        let mut wire = party.connect();
        let dir = File::open(party.path()).expect("there");
        for byte in wire.preamble() {
            // The leader may have ended it already.
            let _ = wire.send_handles(&[byte], &[dir.as_fd(); 16]);
        }
        assert!(wire.is_ended());
    }),
    ("a hundred handles at once", |party| {
        let mut wire = party.connect();
        let dir = File::open(party.path()).expect("there");
        let preamble = wire.preamble();
        wire.send_handles(&preamble, &[dir.as_fd(); 100])
            .expect("sent");
        assert!(wire.is_ended());
    }),
    ("another directory", |party| {
        let mut wire = party.connect();
        let other = File::open("/").expect("there");
        wire.introduce(&other, &page(PAGE_BYTES, SEALS))
            .expect("sent");
        is_refused(wire, "another directory");
    }),
    ("a file for a directory", |party| {
        let mut wire = party.connect();
        let file = File::open(party.path().join("LOCK")).expect("there");
        wire.introduce(&file, &page(PAGE_BYTES, SEALS))
            .expect("sent");
        assert!(wire.is_ended());
    }),
    ("a page that can be cut off", |party| {
        for seals in [SealFlags::empty(), SealFlags::GROW, SealFlags::SHRINK] {
            let mut wire = party.connect();
            let dir = File::open(party.path()).expect("there");
            wire.introduce(&dir, &page(PAGE_BYTES, seals))
                .expect("sent");
            wire.send(&frame(&hello(1, &[]))).expect("sent");
            is_refused(wire, "session page");
        }
    }),
    ("a page of another size", |party| {
        for len in [0, 8, PAGE_BYTES - 8, PAGE_BYTES + 8, 1 << 40] {
            let mut wire = party.connect();
            let dir = File::open(party.path()).expect("there");
            wire.introduce(&dir, &page(len, SEALS)).expect("sent");
            wire.send(&frame(&hello(1, &[]))).expect("sent");
            is_refused(wire, "session page");
        }
    }),
    ("a page that is a directory, or a file", |party| {
        for name in [".", "LOCK"] {
            let mut wire = party.connect();
            let dir = File::open(party.path()).expect("there");
            let other = File::open(party.path().join(name)).expect("there");
            wire.introduce(&dir, &other).expect("sent");
            wire.send(&frame(&hello(1, &[]))).expect("sent");
            is_refused(wire, "session page");
        }
    }),
    ("a hello of four gigabytes", |party| {
        let mut wire = party.connect();
        wire.introduce(
            &File::open(party.path()).expect("there"),
            &page(PAGE_BYTES, SEALS),
        )
        .expect("sent");
        wire.send(&u32::MAX.to_le_bytes()).expect("sent");
        is_refused(wire, "over the limit");
    }),
    ("a hello that claims more moments than there are", |party| {
        for claimed in [u64::MAX, 1 << 40, 65_537] {
            let mut wire = party.connect();
            wire.introduce(
                &File::open(party.path()).expect("there"),
                &page(PAGE_BYTES, SEALS),
            )
            .expect("sent");
            let claim = [hello_before_pins(1), varint(claimed)].concat();
            wire.send(&frame(&claim)).expect("sent");
            is_refused(wire, "cannot be decoded");
        }
    }),
    ("a hello with too many moments", |party| {
        let mut wire = party.connect();
        wire.introduce(
            &File::open(party.path()).expect("there"),
            &page(PAGE_BYTES, SEALS),
        )
        .expect("sent");
        wire.send(&frame(&hello(1, &vec![1; 65_537])))
            .expect("sent");
        is_refused(wire, "within its limits");
    }),
    ("a call before the hello", |party| {
        let mut wire = party.connect();
        wire.introduce(
            &File::open(party.path()).expect("there"),
            &page(PAGE_BYTES, SEALS),
        )
        .expect("sent");
        wire.send(&frame(&get(1, b"witness"))).expect("sent");
        is_refused(wire, "must be a hello");
    }),
    ("a second hello", |party| {
        let mut wire = party.attach(2);
        wire.send(&frame(&hello(2, &[]))).expect("sent");
        assert!(wire.is_ended());
    }),
    ("a request of four gigabytes", |party| {
        let mut wire = party.attach(3);
        wire.send(&u32::MAX.to_le_bytes()).expect("sent");
        assert!(wire.is_ended());
    }),
    ("half a request, and the end", |party| {
        let mut wire = party.attach(4);
        let whole = frame(&get(1, b"witness"));
        wire.send(&whole[..whole.len() / 2]).expect("sent");
        wire.socket
            .shutdown(std::net::Shutdown::Write)
            .expect("shut");
        assert!(wire.is_ended());
    }),
    ("a request that claims a key longer than itself", |party| {
        let mut wire = party.attach(5);
        let message = [&[1, 1, 0][..], &varint(u64::MAX)].concat();
        wire.send(&frame(&message)).expect("sent");
        assert!(wire.is_ended());
    }),
    ("any bytes as requests", |party| {
        let mut random = fastrand::Rng::with_seed(7);
        for session in 0..40 {
            let mut wire = party.attach(100 + session);
            let length = random.usize(1..200);
            let message: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            wire.send(&frame(&message)).expect("sent");
            let _ = wire.socket.shutdown(std::net::Shutdown::Write);
            assert!(wire.is_ended());
        }
    }),
    ("writes of any bytes", |party| {
        let mut wire = party.attach(6);
        let mut random = fastrand::Rng::with_seed(8);
        for number in 1..100 {
            let mut bytes = batch(b"hostile", b"value");
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
            // Nothing in the page was readied for it, so none is applied.
            wire.send(&frame(&write(number, number, &bytes)))
                .expect("sent");
            assert_eq!(
                wire.next(),
                Said::Reply(number),
                "an answer, and the connection goes on"
            );
        }
    }),
    ("a session of somebody else's number", |party| {
        let mut first = party.attach(7);
        let mut second = party.attach(7);
        assert!(first.is_ended(), "the newer connection of a session counts");
        second.send(&frame(&get(1, b"witness"))).expect("sent");
        assert_eq!(second.next(), Said::Reply(1));
    }),
    (
        "a hello over an older connection than its session has",
        |party| {
            let page = page(PAGE_BYTES, SEALS);
            let mut older = party.connect();
            let directory = File::open(party.path()).expect("there");
            older.introduce(&directory, &page).expect("sent");
            let mut newer = Wire::attach_with(party.path(), 3001, &page).expect("it is served");
            assert_eq!(newer.next(), Said::Welcome);
            older.send(&frame(&hello(3001, &[]))).expect("sent");
            assert!(older.is_ended(), "the newer connection of a session counts");
            newer.send(&frame(&get(1, b"witness"))).expect("sent");
            assert_eq!(newer.next(), Said::Reply(1));
        },
    ),
];

#[test]
fn a_hostile_peer_ends_its_own_connection_only_and_costs_little() {
    let mut party = Party::new();
    let (memory, descriptors) = (party.memory(), party.descriptors());
    let idle: Vec<Wire> = (0..IDLE).map(|_| party.connect()).collect();
    party.unharmed("idle connections");
    let attached: Vec<Wire> = (0..8).map(|n| party.attach(1000 + n)).collect();
    party.unharmed("idle sessions");
    // Somebody who asks and never listens. The leader waits for him in a thread of his own.
    let mut deaf = party.attach(2000);
    deaf.socket.set_nonblocking(true).expect("set");
    let question = frame(&get(1, b"witness"));
    while deaf.socket.write(&question).is_ok() {}
    party.unharmed("answers that nobody takes");
    // A request of the largest size that never comes whole: it costs what came.
    let mut large = party.attach(2001);
    large.send(&(64_u32 << 20).to_le_bytes()).expect("sent");
    large.send(&vec![0; 1 << 20]).expect("sent");
    for (name, attack) in ATTACKS {
        attack(&party);
        party.unharmed(name);
    }
    let grown = party.memory().saturating_sub(memory);
    assert!(
        grown < MEMORY_BOUND,
        "the leader has grown by {grown} bytes"
    );
    // Two for each that is attached, one for each that said nothing.
    party.wait_for_descriptors(descriptors + IDLE + 2 * (attached.len() + 2));
    drop((idle, attached, deaf, large));
    party.wait_for_descriptors(descriptors);
    assert_eq!(party.witness.get("hostile"), None);
    party.unharmed("all of it");
}

#[test]
fn a_peer_that_trickles_its_hello_is_dropped_while_others_are_served() {
    let mut party = Party::new();
    let mut wire = party.connect();
    wire.introduce(
        &File::open(party.path()).expect("there"),
        &page(PAGE_BYTES, SEALS),
    )
    .expect("sent");
    wire.send(&1_000_000_u32.to_le_bytes()).expect("sent");
    wire.socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("set");
    // As many bytes as would take most of a day.
    let mut sent = 0;
    loop {
        assert!(sent < 1_000_000, "it was never dropped");
        let over = wire.send(&[0]).is_err() || {
            let mut said = [0; 64];
            matches!(std::io::Read::read(&mut wire.socket, &mut said), Ok(0))
        };
        if over {
            break;
        }
        sent += 1;
        if sent % 40 == 0 {
            party.unharmed("some more bytes");
        }
    }
    party.unharmed("a slow peer");
}
