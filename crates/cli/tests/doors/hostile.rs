//! A peer of our own user that means no good: it loses its own connection, and nobody else anything.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use crate::wire::{Said, Wire, frame, hello, preamble, side, varint};
use crate::{PROGRAM, leader, temp};
use level_party_testkit::ExecChild;

/// Connections that are opened and left alone.
const IDLE: usize = 60;
/// What all of it may cost the leader: far less than what the peer claims to send.
const MEMORY_BOUND: u64 = 64 << 20;

/// A leader, and another member who must not notice anything.
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

    /// Both go on, after `what`.
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

    fn attach(&self) -> Wire {
        let mut wire = Wire::attach(self.path()).expect("it is served");
        assert_eq!(wire.next(), Said::Welcome);
        wire
    }

    fn connect(&self) -> Wire {
        Wire::connect(self.path()).expect("it is served")
    }

    /// A connection on which the preamble was said.
    fn introduced(&self) -> Wire {
        let mut wire = self.connect();
        let dir = File::open(self.path()).expect("there");
        wire.introduce(&dir).expect("sent");
        wire
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
        wire.introduce(&other).expect("sent");
        is_refused(wire, "another directory");
    }),
    ("a file for a directory", |party| {
        let mut wire = party.connect();
        let file = File::open(party.path().join("LOCK")).expect("there");
        wire.introduce(&file).expect("sent");
        assert!(wire.is_ended());
    }),
    ("a hello of four gigabytes", |party| {
        let mut wire = party.introduced();
        wire.send(&u32::MAX.to_le_bytes()).expect("sent");
        is_refused(wire, "over the limit");
    }),
    ("a hello with bytes left over", |party| {
        let mut wire = party.introduced();
        let longer = [hello(), vec![7]].concat();
        wire.send(&frame(&longer)).expect("sent");
        is_refused(wire, "longer than its content");
    }),
    ("a message that there is not", |party| {
        let mut wire = party.introduced();
        wire.send(&frame(&[9, 9, 9])).expect("sent");
        is_refused(wire, "cannot be decoded");
    }),
    ("a second hello", |party| {
        let mut wire = party.attach();
        wire.send(&frame(&hello())).expect("sent");
        assert!(wire.is_ended());
    }),
    ("half a hello, and the end", |party| {
        let mut wire = party.introduced();
        let whole = frame(&hello());
        wire.send(&whole[..whole.len() / 2]).expect("sent");
        wire.socket
            .shutdown(std::net::Shutdown::Write)
            .expect("shut");
        assert!(wire.is_ended());
    }),
    ("a task that claims a bound longer than itself", |party| {
        let mut wire = party.introduced();
        let fields = [&[1][..], &varint(u64::MAX)].concat();
        wire.send(&frame(&side(0, &fields))).expect("sent");
        is_refused(wire, "cannot be decoded");
    }),
    ("any bytes as a first message", |party| {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..60 {
            let mut wire = party.introduced();
            let length = random.usize(1..200);
            let message = std::iter::repeat_with(|| random.u8(..)).take(length);
            // No yielding, which would be heard.
            let message: Vec<u8> = message.map(|byte| byte.max(3)).collect();
            wire.send(&frame(&message)).expect("sent");
            let _ = wire.socket.shutdown(std::net::Shutdown::Write);
            assert!(wire.is_ended());
        }
    }),
    (
        "a copy to a place that there is not, by any bytes",
        |party| {
            let mut random = fastrand::Rng::with_seed(8);
            for _ in 0..40 {
                let mut wire = party.introduced();
                let bytes = |random: &mut fastrand::Rng| {
                    let length = random.usize(0..40);
                    let bytes = std::iter::repeat_with(|| random.u8(..)).take(length);
                    let mut counted = varint(length as u64);
                    counted.extend(bytes);
                    counted
                };
                let (parent, name) = (bytes(&mut random), bytes(&mut random));
                let fields = [parent, varint(1), varint(2), name, varint(3)].concat();
                wire.send(&frame(&side(3, &fields))).expect("sent");
                assert_eq!(wire.next(), Said::News, "it begins");
                assert!(wire.is_ended());
            }
        },
    ),
];

#[test]
fn a_hostile_peer_ends_its_own_connection_only_and_costs_little() {
    let mut party = Party::new();
    let (memory, descriptors) = (party.memory(), party.descriptors());
    let idle: Vec<Wire> = (0..IDLE).map(|_| party.connect()).collect();
    party.unharmed("idle connections");
    let attached: Vec<Wire> = (0..8).map(|_| party.attach()).collect();
    party.unharmed("members that never come");
    // A first message of the largest size that never comes whole: it costs what came.
    let mut large = party.introduced();
    large.send(&(2_u32 << 20).to_le_bytes()).expect("sent");
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
    party.wait_for_descriptors(descriptors + IDLE + attached.len() + 2);
    drop((idle, attached, large));
    party.wait_for_descriptors(descriptors);
    assert_eq!(party.witness.get("hostile"), None);
    party.unharmed("all of it");
}

#[test]
fn slow_hello_is_dropped_while_others_are_served() {
    let mut party = Party::new();
    let mut wire = party.introduced();
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
