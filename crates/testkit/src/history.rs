//! What the clients of a database saw, key by key.

use std::collections::BTreeMap;

use crate::linear::{Action, Call, Content, check};

/// The calls on each key, or group of keys. Keys are text; of values only what tells them apart is kept.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The calls by key, in no order.
    pub calls: BTreeMap<String, Vec<Call>>,
    /// Writes that were answered with a failure that promises no effect. They are in no key's calls, so whoever reads
    /// what they were to write has read something from nowhere.
    pub without_effect: usize,
}

impl History {
    /// Adds a call.
    pub fn add(&mut self, key: impl Into<String>, call: Call) {
        self.calls.entry(key.into()).or_default().push(call);
    }

    /// Adds what another client saw.
    pub fn merge(&mut self, other: History) {
        for (key, calls) in other.calls {
            self.calls.entry(key).or_default().extend(calls);
        }
        self.without_effect += other.without_effect;
    }

    /// Adds a read of a key after everything else.
    pub fn add_last_read(&mut self, key: &str, found: Content) {
        let calls = self.calls.entry(key.to_owned()).or_default();
        let moments = calls.iter().map(|call| call.ended.unwrap_or(call.begun));
        let begun = moments.max().unwrap_or(0) + 1;
        let call = Call {
            client: usize::MAX,
            action: Action::Get(found),
            begun,
            ended: Some(begun),
        };
        calls.push(call);
    }

    /// The number of calls.
    pub fn len(&self) -> usize {
        self.calls.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that each key's calls are linearizable.
    ///
    /// # Errors
    /// Words that name the first key whose calls are not, and what cannot be.
    pub fn check(&self) -> Result<(), String> {
        for (key, calls) in &self.calls {
            check(calls).map_err(|violation| format!("key {key:?} is {violation}"))?;
        }
        Ok(())
    }
}
