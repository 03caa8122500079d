//! Whether the calls on one register, as its callers saw them, are **linearizable**: whether each can be given one
//! moment between its begin and its end, so that every answer is the one of a lone register at that moment.
//!
//! Linearizability is local: a history of calls on many keys is linearizable if and only if each key's own calls are,
//! so each key is a register of its own here. So is a group of keys that is only written by whole batches and only
//! read at one moment.
//!
//! A call that never ended (its process died, or it ended with `OutcomeUnknown`) is **open**: it took effect at any
//! moment after its begin, or never. A call that certainly had no effect is no part of the history at all.
//!
//! The check is Lowe's just-in-time search (Testing for linearizability, 2017) over sets of configurations instead of
//! one path with a way back. It walks once through begins and ends in the order of time, and keeps every state that
//! the register can have by then, with the calls that have taken effect and are not ended. A call is made to take
//! effect no earlier than some call's end demands. Four things keep the set small, so that the cost is linear in the
//! length and exponential only in the *writes under way at one moment*:
//! - What reads and can take effect now does: it changes nothing, so it never hurts.
//! - An open put that nobody saw is left out: without it the others' answers are the same.
//! - Open calls of equal effect are only counted.
//! - Of two configurations that differ in their open calls alone, the one that used more of them is dropped.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What a register holds: nothing, or a text.
pub type Content = Option<Arc<str>>;

/// What a call asked, and what it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// A read, and what it found.
    Get(Content),
    /// A write; `None` removes.
    Set(Content),
    /// A write on the condition that the register holds `expected`.
    Swap {
        /// The condition.
        expected: Content,
        /// What is written.
        to: Content,
        /// Whether the condition held. Of an open call nobody knows.
        swapped: bool,
    },
}

/// One call. Moments are nanoseconds since any common start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who made it; for the words of a violation alone.
    pub client: usize,
    /// What it was.
    pub action: Action,
    /// A moment before it can have taken effect.
    pub begun: u64,
    /// A moment at which it had taken effect; `None` for an open call.
    pub ended: Option<u64>,
}

/// A history that no register can have had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The first call whose answer cannot be.
    pub call: Call,
    /// What the register can have held just before that call's end.
    pub possible: Vec<Content>,
    /// The calls that ended last before it, and those under way.
    pub around: Vec<Call>,
}

/// How many calls a violation shows around the one that cannot be.
const SHOWN: usize = 16;
/// Calls under way at one moment, those left aside that are open: each is one bit of a mask.
const MOST_AT_ONCE: usize = 128;

/// Checks the calls on one register, which was empty before them. They may come in any order.
///
/// ```
/// use level_party_testkit::linear::{Action, Call, check};
///
/// let call = |action, begun, ended| Call { client: 0, action, begun, ended: Some(ended) };
/// let put = call(Action::Set(Some("a".into())), 0, 1);
/// assert!(check(&[put.clone(), call(Action::Get(Some("a".into())), 2, 3)]).is_ok());
/// assert!(check(&[put, call(Action::Get(None), 2, 3)]).is_err());
/// ```
///
/// # Errors
/// They are not linearizable.
///
/// # Panics
/// If a call ends before it begins, or more than 128 calls that have an end are under way at once.
pub fn check(calls: &[Call]) -> Result<(), Box<Violation>> {
    let mut search = Search::new(calls);
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(calls.len() * 2);
    for (index, call) in calls.iter().enumerate() {
        if search.steps[index] == Step::Nothing {
            continue;
        }
        events.push((call.begun, false, index));
        if let Some(ended) = call.ended {
            assert!(
                call.begun <= ended,
                "a call ends before it begins: {call:?}"
            );
            events.push((ended, true, index));
        }
    }
    // At one and the same moment begins come first: nothing says that one call was over before the other began.
    events.sort_unstable();
    for (at, (_, is_end, index)) in events.iter().enumerate() {
        if !is_end {
            search.begin(*index, calls[*index].ended.is_none());
        } else if let Err(possible) = search.end(*index) {
            let ended = events[..=at].iter().filter(|event| event.1);
            let before = ended.rev().take(SHOWN).map(|event| event.2);
            let mut around: Vec<usize> = before.chain(search.under_way()).collect();
            around.sort_unstable_by_key(|index| calls[*index].begun);
            around.dedup();
            return Err(Box::new(Violation {
                call: calls[*index].clone(),
                possible: possible
                    .iter()
                    .map(|state| search.content(*state))
                    .collect(),
                around: around.iter().map(|index| calls[*index].clone()).collect(),
            }));
        }
    }
    Ok(())
}

/// What a call does to the number that stands for the register's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// It stays as it is, and is this.
    Is(u32),
    /// It stays as it is, and is not this.
    IsNot(u32),
    Becomes(u32),
    /// It was the first and becomes the second.
    Turns(u32, u32),
    /// An open call that can be left out.
    Nothing,
}

impl Step {
    fn on(self, state: u32) -> Option<u32> {
        match self {
            Step::Is(x) => (state == x).then_some(state),
            Step::IsNot(x) => (state != x).then_some(state),
            Step::Becomes(x) => Some(x),
            Step::Turns(from, to) => (state == from).then_some(to),
            Step::Nothing => None,
        }
    }

    fn only_reads(self) -> bool {
        matches!(self, Step::Is(_) | Step::IsNot(_))
    }
}

/// How many open calls of each class have taken effect: (class, count), by class, without zeros.
type Used = Vec<(u32, u32)>;

/// One way in which the calls so far can have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Configuration {
    state: u32,
    /// The slots of the calls under way that have taken effect.
    done: u128,
    used: Used,
}

impl Configuration {
    fn used_of(&self, class: u32) -> u32 {
        let found = self.used.binary_search_by_key(&class, |(class, _)| *class);
        found.map_or(0, |at| self.used[at].1)
    }

    fn use_one_of(&mut self, class: u32) {
        match self.used.binary_search_by_key(&class, |(class, _)| *class) {
            Ok(at) => self.used[at].1 += 1,
            Err(at) => self.used.insert(at, (class, 1)),
        }
    }
}

/// Configurations, without those that are worse than another.
#[derive(Debug, Default)]
struct Frontier {
    used: HashMap<(u32, u128), Vec<Used>>,
}

impl Frontier {
    /// Whether it is new, and no worse than what is there.
    fn insert(&mut self, new: &Configuration) -> bool {
        let there = self.used.entry((new.state, new.done)).or_default();
        if there.iter().any(|used| within(used, &new.used)) {
            return false;
        }
        there.retain(|used| !within(&new.used, used));
        there.push(new.used.clone());
        true
    }

    fn into_configurations(self) -> impl Iterator<Item = Configuration> {
        self.used.into_iter().flat_map(|((state, done), used)| {
            used.into_iter()
                .map(move |used| Configuration { state, done, used })
        })
    }
}

/// Whether `few` uses no more open calls of any class than `many`.
fn within(few: &[(u32, u32)], many: &[(u32, u32)]) -> bool {
    let mut many = many.iter();
    few.iter()
        .all(|(class, count)| many.any(|(other, more)| other == class && more >= count))
}

struct Search {
    contents: Vec<Content>,
    steps: Vec<Step>,
    /// The call under way in each slot.
    slots: Vec<Option<usize>>,
    /// Open calls that have begun, in classes of equal effect, and how many no configuration has used yet.
    classes: Vec<(Step, u32)>,
    configurations: Vec<Configuration>,
}

impl Search {
    fn new(calls: &[Call]) -> Self {
        let mut numbers: HashMap<Content, u32> = HashMap::from([(None, 0)]);
        let mut contents = vec![None];
        let mut number = |content: &Content| {
            *numbers.entry(content.clone()).or_insert_with(|| {
                contents.push(content.clone());
                contents.len() as u32 - 1
            })
        };
        let mut steps: Vec<Step> = calls
            .iter()
            .map(|call| match (&call.action, call.ended) {
                (Action::Get(_), None) => Step::Nothing,
                (Action::Get(found), Some(_)) => Step::Is(number(found)),
                (Action::Set(to), _) => Step::Becomes(number(to)),
                (
                    Action::Swap {
                        expected,
                        swapped: false,
                        ..
                    },
                    Some(_),
                ) => Step::IsNot(number(expected)),
                (Action::Swap { expected, to, .. }, _) => Step::Turns(number(expected), number(to)),
            })
            .collect();
        make_unseen_alike(calls, &mut steps, &mut contents);
        Search {
            contents,
            steps,
            slots: Vec::new(),
            classes: Vec::new(),
            configurations: vec![Configuration {
                state: 0,
                done: 0,
                used: Vec::new(),
            }],
        }
    }

    fn content(&self, state: u32) -> Content {
        self.contents[state as usize].clone()
    }

    fn under_way(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().flatten().copied()
    }

    fn begin(&mut self, index: usize, open: bool) {
        let step = self.steps[index];
        if open {
            match self.classes.iter_mut().find(|(other, _)| *other == step) {
                Some((_, count)) => *count += 1,
                None => self.classes.push((step, 1)),
            }
            return;
        }
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        assert!(
            slot < MOST_AT_ONCE,
            "more than {MOST_AT_ONCE} calls at once"
        );
        self.slots[slot] = Some(index);
        if step.only_reads() {
            let mut frontier = Frontier::default();
            for mut configuration in std::mem::take(&mut self.configurations) {
                if step.on(configuration.state).is_some() {
                    configuration.done |= 1 << slot;
                }
                frontier.insert(&configuration);
            }
            self.configurations = frontier.into_configurations().collect();
        }
    }

    /// A call ended, so it has taken effect. `Err`: it cannot have, with the states that there were.
    fn end(&mut self, index: usize) -> Result<(), Vec<u32>> {
        let slot = self.slots.iter().position(|call| *call == Some(index));
        let slot = slot.expect("a call that ends has begun");
        let mut possible: Vec<u32> = self.configurations.iter().map(|c| c.state).collect();
        let (mut seen, mut after) = (Frontier::default(), Frontier::default());
        let mut left = std::mem::take(&mut self.configurations);
        while let Some(mut configuration) = left.pop() {
            if configuration.done & (1 << slot) != 0 {
                configuration.done &= !(1 << slot);
                after.insert(&configuration);
                continue;
            }
            for next in self.successors(&configuration) {
                if seen.insert(&next) {
                    left.push(next);
                }
            }
        }
        self.configurations = after.into_configurations().collect();
        if self.configurations.is_empty() {
            possible.sort_unstable();
            possible.dedup();
            return Err(possible);
        }
        self.slots[slot] = None;
        self.forget_what_all_used();
        Ok(())
    }

    /// What one more write can make of a configuration.
    fn successors(&self, from: &Configuration) -> Vec<Configuration> {
        let mut found = Vec::new();
        for (slot, index) in self.slots.iter().enumerate() {
            let Some(index) = index.filter(|_| from.done & (1 << slot) == 0) else {
                continue;
            };
            let step = self.steps[index];
            if let Some(state) = step.on(from.state).filter(|_| !step.only_reads()) {
                let done = from.done | 1 << slot;
                found.push(self.with_reads(Configuration {
                    state,
                    done,
                    used: from.used.clone(),
                }));
            }
        }
        for (class, (step, count)) in self.classes.iter().enumerate() {
            let class = class as u32;
            let free = from.used_of(class) < *count;
            if let Some(state) = step.on(from.state).filter(|_| free) {
                let mut next = Configuration {
                    state,
                    ..from.clone()
                };
                next.use_one_of(class);
                found.push(self.with_reads(next));
            }
        }
        found
    }

    /// Lets every read take effect that can.
    fn with_reads(&self, mut configuration: Configuration) -> Configuration {
        for (slot, index) in self.slots.iter().enumerate() {
            let step = index.map_or(Step::Nothing, |index| self.steps[index]);
            if step.only_reads() && step.on(configuration.state).is_some() {
                configuration.done |= 1 << slot;
            }
        }
        configuration
    }

    /// Open calls that every configuration used are over.
    fn forget_what_all_used(&mut self) {
        let Some(first) = self.configurations.first() else {
            return;
        };
        for (class, _) in first.used.clone() {
            let used = self.configurations.iter().map(|c| c.used_of(class));
            let by_all = used.min().unwrap_or(0);
            if by_all == 0 {
                continue;
            }
            self.classes[class as usize].1 -= by_all;
            for configuration in &mut self.configurations {
                for (_, count) in configuration.used.iter_mut().filter(|(c, _)| *c == class) {
                    *count -= by_all;
                }
                configuration.used.retain(|(_, count)| *count > 0);
            }
        }
    }
}

/// Leaves out each open put whose content no call found or expected: without it the other answers are the same. Beside
/// a refused swap it must stay, for that swap saw *something*; but what, nobody can tell, so all such puts are alike.
fn make_unseen_alike(calls: &[Call], steps: &mut [Step], contents: &mut Vec<Content>) {
    let mut seen = vec![false; contents.len()];
    for step in steps.iter() {
        if let Step::Is(x) | Step::IsNot(x) | Step::Turns(x, _) = step {
            seen[*x as usize] = true;
        }
    }
    let refused = steps.iter().any(|step| matches!(step, Step::IsNot(_)));
    let unseen = contents.len() as u32;
    contents.push(Some("(an open put that nobody saw)".into()));
    for (call, step) in calls.iter().zip(steps) {
        if let (Step::Becomes(x), None) = (*step, call.ended)
            && !seen[x as usize]
        {
            *step = if refused {
                Step::Becomes(unseen)
            } else {
                Step::Nothing
            };
        }
    }
}

fn shown(content: &Content) -> String {
    content
        .as_ref()
        .map_or("nothing".to_owned(), |text| format!("{text:?}"))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (begun, client) = (self.begun, self.client);
        match self.ended {
            Some(ended) => write!(f, "{begun}..{ended} client {client}: ")?,
            None => write!(f, "{begun}.. client {client}, open: ")?,
        }
        match &self.action {
            Action::Get(found) => write!(f, "get found {}", shown(found)),
            Action::Set(None) => write!(f, "delete"),
            Action::Set(to) => write!(f, "put {}", shown(to)),
            Action::Swap {
                expected,
                to,
                swapped,
            } => {
                let (expected, to) = (shown(expected), shown(to));
                let how = if *swapped || self.ended.is_none() {
                    ""
                } else {
                    ", refused"
                };
                write!(f, "swap {expected} for {to}{how}")
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let possible: Vec<String> = self.possible.iter().map(shown).collect();
        writeln!(f, "not linearizable: {}", self.call)?;
        writeln!(
            f,
            "before its end there can have been: {}",
            possible.join(", ")
        )?;
        writeln!(f, "what ended last, and what was under way (nanoseconds):")?;
        for call in &self.around {
            writeln!(f, "  {call}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests;
