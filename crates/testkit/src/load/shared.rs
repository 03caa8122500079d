//! A counter that everybody increments in transactions, each time with a token never used before under the new number.
//!
//! A transaction checks the number that was read, and writes the next one and its token. So each number has one token,
//! that of the one transaction that was answered `committed`, or of one whose process was killed in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::answer;
use crate::client::{Client, Reply};

/// The start of its keys.
pub(crate) const PREFIX: &str = "shared/";
const LAST: &str = "shared/last";

fn token_key(n: u64) -> String {
    format!("{PREFIX}{n:08}")
}

/// What is known of the counter afterwards, by one client or by all.
#[derive(Debug, Clone, Default)]
pub struct SharedCounter {
    /// Answered with `committed`: n -> token.
    pub committed: BTreeMap<u64, String>,
    /// In flight when their process was killed: (n, token).
    pub open: BTreeSet<(u64, String)>,
    /// How many were refused since another was first.
    pub refused: usize,
}

impl SharedCounter {
    /// Adds what another client knows.
    ///
    /// # Panics
    /// If two increments committed the same number.
    pub fn merge(&mut self, other: SharedCounter) {
        for (n, token) in other.committed {
            let twice = self.committed.insert(n, token);
            assert_eq!(
                twice, None,
                "increment {n} of the shared counter committed twice"
            );
        }
        self.open.extend(other.open);
        self.refused += other.refused;
    }

    /// Checks all that was found of it, in any order.
    ///
    /// # Errors
    /// Words that say which increment is lost, doubled, or from nowhere.
    pub fn check(&self, found: &[(String, String)]) -> Result<(), String> {
        let mut found: BTreeMap<&str, &str> = found
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let last = found.remove(LAST).unwrap_or("0");
        let count = found.len() as u64;
        if last.parse() != Ok(count) {
            return Err(format!("the shared counter is {last}, with {count} tokens"));
        }
        let mut tokens = BTreeSet::new();
        for n in 1..=count {
            let Some(token) = found.get(&*token_key(n)).copied() else {
                return Err(format!("the shared counter has no token {n} of {count}"));
            };
            let in_flight = || self.open.contains(&(n, token.to_owned()));
            if !self
                .committed
                .get(&n)
                .map_or_else(in_flight, |committed| committed == token)
            {
                let committed = self.committed.get(&n);
                return Err(format!(
                    "increment {n} wrote {committed:?}, there is {token}"
                ));
            }
            if !tokens.insert(token) {
                return Err(format!("the token {token} is there twice"));
            }
        }
        match self.committed.keys().next_back() {
            Some(newest) if *newest > count => Err(format!(
                "increment {newest} of the shared counter committed, and it is {count}"
            )),
            _ => Ok(()),
        }
    }
}

/// Tries to increment it once.
pub(crate) fn increment(client: &mut Client, known: &mut SharedCounter) {
    let Some(held) = answer(client, &json!({"op": "get", "key": LAST})) else {
        return;
    };
    let held = &held["value"];
    let n: u64 = 1 + held.as_str().map_or(0, |n| n.parse().expect("a number"));
    let token = client.token();
    let asked = client.ask(&json!({
        "op": "transaction",
        "checks": [{"key": LAST, "value": held}],
        "ops": [
            {"type": "put", "key": LAST, "value": n.to_string()},
            {"type": "put", "key": token_key(n), "value": token},
        ],
    }));
    match asked.reply {
        Reply::Ok(answer) if answer["committed"] == true => {
            client.acknowledged.push((asked.begun, asked.ended));
            known.committed.insert(n, token);
        }
        Reply::Ok(_) => known.refused += 1,
        Reply::Unknown => {
            known.open.insert((n, token));
        }
        late => panic!("a transaction was not done in time: {late:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_a_doubled_and_an_unknown_increment_are_seen() {
        let known = SharedCounter {
            committed: [(1, "a".to_owned()), (3, "c".to_owned())].into(),
            open: [(2, "b".to_owned()), (4, "d".to_owned())].into(),
            refused: 0,
        };
        let is_right = |tokens: &[&str], last: &str| {
            let keys = (1..).zip(tokens);
            let mut found: Vec<(String, String)> = keys
                .map(|(n, token)| (token_key(n), (*token).to_owned()))
                .collect();
            found.push((LAST.to_owned(), last.to_owned()));
            known.check(&found).is_ok()
        };
        assert!(is_right(&["a", "b", "c"], "3"));
        assert!(is_right(&["a", "b", "c", "d"], "4"));
        for (tokens, last) in [
            (&["a", "b"][..], "2"),
            (&["a", "b", "c"], "4"),
            (&["a", "b", "c", "d"], "3"),
            (&["a", "b", "x"], "3"),
            (&["a", "a", "c"], "3"),
            (&["a", "d", "c"], "3"),
            (&["a", "b", "c", "c"], "4"),
        ] {
            assert!(!is_right(tokens, last), "{tokens:?}, {last}");
        }
    }

    #[test]
    #[should_panic(expected = "increment 1 of the shared counter committed twice")]
    fn two_that_committed_the_same_number_are_seen() {
        let one = |token: &str| SharedCounter {
            committed: [(1, token.to_owned())].into(),
            ..SharedCounter::default()
        };
        let mut all = one("a");
        all.merge(one("b"));
    }
}
