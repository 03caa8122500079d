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
    /// Open puts that have taken effect by a moment, or never will: key, content, moment.
    bounds: Vec<(String, Content, u64)>,
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
        self.bounds.extend(other.bounds);
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

    /// Says that the open put of `content` has taken effect by the moment `by`, or never will. Contents must be unique.
    pub fn bound_open_put(&mut self, key: &str, content: &Content, by: u64) {
        self.bounds.push((key.to_owned(), content.clone(), by));
    }

    /// An open put that was seen took effect; so where it has a bound, the bound is its end.
    fn end_open_puts(&self, key: &str, calls: &mut [Call]) {
        for (_, content, by) in self.bounds.iter().filter(|bound| bound.0 == key) {
            let (get, put) = (Action::Get(content.clone()), Action::Set(content.clone()));
            if calls.iter().any(|call| call.action == get) {
                let mut puts = calls.iter_mut().filter(|call| call.action == put);
                puts.next().expect("it was recorded").ended = Some(*by);
            }
        }
    }

    /// The number of calls.
    pub fn len(&self) -> usize {
        self.calls.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that each key's calls are linearizable, and open puts took effect within their bounds.
    ///
    /// # Errors
    /// Words that name the first key whose calls are not, and what cannot be.
    pub fn check(&self) -> Result<(), String> {
        for (key, calls) in &self.calls {
            let mut calls = calls.clone();
            self.end_open_puts(key, &mut calls);
            check(&calls).map_err(|violation| format!("key {key:?} is {violation}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_put_that_takes_effect_beyond_its_bound_is_seen() {
        let call = |action, begun, ended| Call {
            client: 0,
            action,
            begun,
            ended,
        };
        let a: Content = Some("a".into());
        let mut history = History::default();
        history.add("k", call(Action::Set(a.clone()), 0, None));
        history.add("k", call(Action::Get(None), 10, Some(11)));
        history.add_last_read("k", a.clone());
        assert_eq!(history.check(), Ok(()));
        let mut late = history.clone();
        late.bound_open_put("k", &a, 5);
        assert!(late.check().is_err());
        history.bound_open_put("k", &a, 12);
        assert_eq!(history.check(), Ok(()));
    }

    #[test]
    fn what_had_no_effect_is_read_from_nowhere() {
        let mut history = History {
            without_effect: 1,
            ..History::default()
        };
        history.add_last_read("k", Some("a".into()));
        assert!(history.check().is_err());
    }
}
