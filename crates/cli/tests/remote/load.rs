//! Clients that write and read a few keys at once, whose calls are checked to be linearizable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use level_party::{Db, ErrorKind, Readable, Result, WriteBatch};
use level_party_testkit::linear::{self, Action, Call, Content};

/// Registers: each is written and read alone.
const KEYS: [&str; 3] = ["", "hot", "hot\0"];
/// A register that is two keys, written by one batch and read at one moment.
const GROUP: [&str; 2] = ["group/a", "group/b"];
const ACCOUNTS: u64 = 4;

/// What a run saw.
pub struct Report {
    pub calls: u64,
    pub open: usize,
    pub longest: Duration,
}

struct Client<'a> {
    number: usize,
    db: Db,
    start: Instant,
    answered: &'a AtomicU64,
    calls: Vec<(usize, Call)>,
    added: u64,
    maybe_added: u64,
    longest: Duration,
    random: fastrand::Rng,
}

/// Runs so many clients of `url` while `faults` runs, and checks what they saw. `faults` is told how many calls were answered so far.
pub fn run(urls: &[String], faults: impl FnOnce(&AtomicU64)) -> Report {
    let (done, answered, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let first = Db::open(&urls[0]).expect("opened");
    for n in 0..ACCOUNTS {
        first.put(format!("bank/{n}"), "100").expect("put");
    }
    let clients: Vec<Client<'_>> = std::thread::scope(|threads| {
        let run = |(number, url): (usize, &String)| {
            let client = Client {
                number,
                db: Db::open(url).expect("opened"),
                start,
                answered: &answered,
                calls: Vec::new(),
                added: 0,
                maybe_added: 0,
                longest: Duration::ZERO,
                random: fastrand::Rng::with_seed(number as u64),
            };
            let done = &done;
            threads.spawn(move || client.run(done))
        };
        let running: Vec<_> = urls.iter().enumerate().map(run).collect();
        let end = SetAtEnd(&done);
        faults(&answered);
        drop(end);
        running
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect()
    });
    check(&first, &clients)
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn check(db: &Db, clients: &[Client<'_>]) -> Report {
    let mut open = 0;
    for register in 0..=KEYS.len() {
        let of = clients
            .iter()
            .flat_map(|client| &client.calls)
            .filter(|(at, _)| *at == register);
        let calls: Vec<Call> = of.map(|(_, call)| call.clone()).collect();
        open += calls.iter().filter(|call| call.ended.is_none()).count();
        if let Err(violation) = linear::check(&calls) {
            panic!("register {register}: {violation}");
        }
    }
    let sum = |of: fn(&Client<'_>) -> u64| clients.iter().map(of).sum::<u64>();
    let (added, maybe) = (sum(|client| client.added), sum(|client| client.maybe_added));
    let counted = number(db.get("counter").expect("read").as_deref());
    assert!(
        (added..=added + maybe).contains(&counted),
        "{counted} is not from {added} to {}",
        added + maybe
    );
    let balances = db.range("bank/".."bank0").values();
    let total: u64 = balances
        .map(|value| number(Some(&value.expect("read"))))
        .sum();
    assert_eq!(total, ACCOUNTS * 100);
    Report {
        calls: sum(|client| client.calls.len() as u64),
        open,
        longest: clients
            .iter()
            .map(|client| client.longest)
            .max()
            .unwrap_or_default(),
    }
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| {
        std::str::from_utf8(value).unwrap().parse().unwrap()
    })
}

fn content(value: Option<Vec<u8>>) -> Content {
    value.map(|value| Arc::from(String::from_utf8(value).expect("text")))
}

impl Client<'_> {
    fn run(mut self, done: &AtomicBool) -> Self {
        let mut turn = 0_u64;
        while !done.load(Ordering::Relaxed) {
            turn += 1;
            let token: Content = Some(Arc::from(format!("{}-{turn}", self.number)));
            let key = self.random.usize(..KEYS.len());
            match self.random.u32(..10) {
                0..=2 => self.get(key),
                3..=4 => self.set(key, token),
                5 => self.set(key, None),
                6 => self.swap(key, token),
                7 => self.group(token),
                8 => self.count(),
                _ => self.transfer(),
            }
        }
        self
    }

    fn call<T>(&mut self, make: impl FnOnce(&Db) -> Result<T>) -> (Result<T>, u64, u64) {
        let moment =
            |start: Instant| u64::try_from(start.elapsed().as_nanos()).expect("some years");
        let begun = moment(self.start);
        let made = make(&self.db);
        let ended = moment(self.start);
        self.longest = self.longest.max(Duration::from_nanos(ended - begun));
        if made.is_ok() {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        (made, begun, ended)
    }

    fn note(&mut self, register: usize, action: Action, begun: u64, ended: Option<u64>) {
        let client = self.number;
        self.calls.push((
            register,
            Call {
                client,
                action,
                begun,
                ended,
            },
        ));
    }

    /// A write that may have had an effect is open; any other that failed is no part of the history.
    fn wrote<T>(
        &mut self,
        register: usize,
        action: Action,
        (made, begun, ended): (Result<T>, u64, u64),
    ) {
        match made {
            Ok(_) => self.note(register, action, begun, Some(ended)),
            Err(error) if !error.had_no_effect() => self.note(register, action, begun, None),
            Err(error) => expected(&error),
        }
    }

    fn get(&mut self, key: usize) {
        match self.call(|db| db.get(KEYS[key])) {
            (Ok(value), begun, ended) => {
                self.note(key, Action::Get(content(value)), begun, Some(ended));
            }
            (Err(error), ..) => expected(&error),
        }
    }

    fn set(&mut self, key: usize, to: Content) {
        let made = self.call(|db| match &to {
            Some(token) => db.put(KEYS[key], token.as_bytes()),
            None => db.delete(KEYS[key]),
        });
        self.wrote(key, Action::Set(to), made);
    }

    fn swap(&mut self, key: usize, to: Content) {
        let (Ok(held), begun, ended) = self.call(|db| db.get(KEYS[key])) else {
            return;
        };
        let expected = content(held);
        self.note(key, Action::Get(expected.clone()), begun, Some(ended));
        let (made, begun, ended) = self.call(|db| {
            let bytes = |content: &Content| content.as_ref().map(|text| text.as_bytes().to_vec());
            db.compare_and_swap(
                KEYS[key],
                bytes(&expected).as_deref(),
                bytes(&to).as_deref(),
            )
        });
        let swap = |swapped| Action::Swap {
            expected: expected.clone(),
            to: to.clone(),
            swapped,
        };
        match made {
            Ok(Ok(())) => self.note(key, swap(true), begun, Some(ended)),
            Ok(Err(held)) => self.note(key, Action::Get(content(held)), begun, Some(ended)),
            failed => self.wrote(key, swap(true), (failed, begun, ended)),
        }
    }

    fn group(&mut self, token: Content) {
        let register = KEYS.len();
        let mut batch = WriteBatch::new();
        for key in GROUP {
            batch.put(key, token.as_ref().expect("a token").as_bytes());
        }
        let made = self.call(|db| db.write(&batch));
        self.wrote(register, Action::Set(token), made);
        if let (Ok(found), begun, ended) = self.call(|db| db.get_many(GROUP)) {
            assert_eq!(found[0], found[1], "half of a batch");
            let found = found.into_iter().next().flatten();
            self.note(register, Action::Get(content(found)), begun, Some(ended));
        }
    }

    fn count(&mut self) {
        let more = |held: Option<&[u8]>| Some((number(held) + 1).to_string());
        match self.call(|db| db.update("counter", more)).0 {
            Ok(_) => self.added += 1,
            Err(error) if !error.had_no_effect() => self.maybe_added += 1,
            Err(error) => expected(&error),
        }
    }

    fn transfer(&mut self) {
        let (from, to) = (self.random.u64(..ACCOUNTS), self.random.u64(..ACCOUNTS));
        let (from, to) = (format!("bank/{from}"), format!("bank/{to}"));
        let made = self.call(|db| {
            db.transaction(|tx| {
                let balances = tx.range("bank/".."bank0").values();
                let total = balances
                    .map(|value| Ok(number(Some(&value?))))
                    .sum::<Result<u64>>()?;
                assert_eq!(total, ACCOUNTS * 100, "money is lost or made in one moment");
                let balance = number(tx.get(&from)?.as_deref());
                if balance > 0 {
                    tx.put(&from, (balance - 1).to_string())?;
                    let balance = number(tx.get(&to)?.as_deref());
                    tx.put(&to, (balance + 1).to_string())?;
                }
                Ok(())
            })
        });
        if let Err(error) = made.0 {
            expected(&error);
        }
    }
}

/// # Panics
/// If the error is none that a fault explains.
fn expected(error: &level_party::Error) {
    let may = [
        ErrorKind::Timeout,
        ErrorKind::OutcomeUnknown,
        ErrorKind::Conflict,
        ErrorKind::SnapshotLost,
    ];
    assert!(may.contains(&error.kind()), "{error:?}");
}
