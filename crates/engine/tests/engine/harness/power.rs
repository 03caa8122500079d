//! The power fails, or the process is killed, at each call of a workload; and again during the recovery from that.

use std::sync::Arc;

use level_party_engine::{Engine, Options, RecoveryMode, Write};

use super::disk::Disk;
use super::history::{History, OPS, last_batch};
use super::record::{Files, Recorded, Recorder};
use super::states::{Seen, State, after_kill, after_power_loss};
use crate::support::{Rng, contents};

/// What is written, and how much of it is looked at.
#[derive(Clone)]
pub struct Plan {
    pub options: Options,
    pub batches: u64,
    pub large_every: Option<u64>,
    /// Openings in the course of the workload come often.
    pub short_lives: bool,
    /// No table can be made, so that everything stays in logs.
    pub no_tables: bool,
    /// Distinct states to be opened, at least.
    pub states: usize,
    pub seed: u64,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub workloads: usize,
    pub boundaries: usize,
    /// Distinct states, by how many crashes deep they are.
    pub states: [usize; 4],
    /// States in which recovery said that it left something out.
    pub dropped: usize,
    /// States that hold more than what was acknowledged.
    pub beyond: usize,
}

impl Counts {
    pub fn total(&self) -> usize {
        self.states.iter().sum()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Power,
    Process,
}

/// One run of a harness.
struct Run {
    loss: Loss,
    options: Options,
    rng: Rng,
    seen: Seen,
    counts: Counts,
    /// Told apart from all others in the histories.
    next_tag: u64,
}

/// Loses power at every call of workloads, in every legal way that is looked at: each state opens without repair, shows
/// whole batches up to one that is not before the last acknowledged with sync, and can be written to.
pub fn power_fails(plan: &Plan) -> Counts {
    Run::new(plan, Loss::Power).run(plan)
}

/// Kills the process at every call, also in the middle of an append: everything acknowledged is there.
pub fn processes_die(plan: &Plan) -> Counts {
    Run::new(plan, Loss::Process).run(plan)
}

impl Run {
    fn new(plan: &Plan, loss: Loss) -> Run {
        Run {
            loss,
            options: Options {
                recovery: match loss {
                    Loss::Power => RecoveryMode::AfterReboot,
                    Loss::Process => RecoveryMode::SameBoot,
                },
                ..plan.options.clone()
            },
            rng: Rng(plan.seed),
            seen: Seen::default(),
            counts: Counts::default(),
            next_tag: 1,
        }
    }

    fn run(mut self, plan: &Plan) -> Counts {
        while self.counts.total() < plan.states {
            self.counts.workloads += 1;
            let recorder = Recorder::new(&Files::new(), 0);
            let mut history = History::new(plan.large_every);
            self.work(plan, &recorder, &mut history);
            let states = self.states(&Files::new(), &recorder, 6);
            for state in states {
                self.check(&state, &history, 0);
            }
        }
        self.counts
    }

    /// Writes, flushes, compacts and reopens, as a program does that is killed now and then.
    fn work(&mut self, plan: &Plan, recorder: &Recorder, history: &mut History) {
        let mut engine = self.open(recorder);
        if plan.no_tables {
            recorder.refuse_tables();
        }
        while history.len() < plan.batches {
            self.write_some(&engine, recorder, history);
            if plan.no_tables {
                continue;
            }
            if self.rng.one_in(25) {
                let before = history.len();
                engine.flush().unwrap();
                recorder.synced(before);
            }
            if self.rng.one_in(40) {
                engine.compact_range(None, None).unwrap();
            }
            if self.rng.one_in(if plan.short_lives { 10 } else { 50 }) {
                engine.close().unwrap();
                engine = self.open_again(recorder);
                assert_eq!(
                    last_batch(&engine),
                    history.len(),
                    "all that was answered is there"
                );
                // What recovery showed is durable, whatever it was before.
                recorder.synced(history.len());
            }
        }
        engine.close().unwrap();
    }

    /// One write, or a few as one group. Now and then the disk takes half of it.
    fn write_some(&mut self, engine: &Engine, recorder: &Recorder, history: &mut History) {
        let count = if self.rng.one_in(6) { 3 } else { 1 };
        let sync = self.rng.one_in(8);
        let before = history.len();
        let is_torn = self.rng.one_in(12);
        if is_torn {
            recorder.tear_next_append();
        }
        let mut writes = Vec::new();
        for _ in 0..count {
            let batch = history.push(self.tag());
            let hook = recorder.hook(history.len());
            writes.push(Write::new(batch).sync(sync).hook(hook));
        }
        let answers = engine.write_all(writes);
        if is_torn {
            assert!(answers.iter().all(Result::is_err));
            *history = history.up_to(before);
            return;
        }
        for answer in answers {
            answer.unwrap();
        }
        if sync {
            recorder.synced(history.len());
        }
    }

    fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    fn open(&self, recorder: &Recorder) -> Engine {
        Engine::open(Arc::new(recorder.clone()), self.options.clone()).expect("it opens")
    }

    /// Opens what a process of the same boot has left, before any loss.
    fn open_again(&self, recorder: &Recorder) -> Engine {
        let options = Options {
            recovery: RecoveryMode::SameBoot,
            ..self.options.clone()
        };
        Engine::open(Arc::new(recorder.clone()), options).expect("it opens")
    }

    /// The states that crashes at the recorded calls leave, those not seen before.
    fn states(&mut self, start: &Files, recorder: &Recorder, random: usize) -> Vec<State> {
        let mut disk = Disk::new(start);
        let steps = recorder.steps();
        let end = recorder.marks();
        let mut states = Vec::new();
        for at in 0..=steps.len() {
            let next: Option<&Recorded> = steps.get(at);
            let marks = next.map_or(end, |next| next.marks);
            let (found, floor) = match self.loss {
                Loss::Power => (after_power_loss(&disk, &mut self.rng, random), marks.synced),
                Loss::Process => (after_kill(&disk, next, &mut self.rng), marks.answered),
            };
            self.counts.boundaries += 1;
            for (files, story) in found {
                let around = &steps[at.saturating_sub(2)..(at + 1).min(steps.len())];
                let around: Vec<String> = around.iter().map(|call| brief(&call.step)).collect();
                let state = State {
                    files,
                    floor,
                    story: format!("call {at} of {}, after {around:?}: {story}", steps.len()),
                };
                if self.seen.is_new(&state) {
                    states.push(state);
                }
            }
            if let Some(next) = next {
                disk.apply(&next.step);
            }
        }
        states
    }

    /// Opens a state, looks at it, and goes on writing; now and then crashes there again, three deep.
    fn check(&mut self, state: &State, history: &History, depth: usize) {
        self.counts.states[depth] += 1;
        let recorder = Recorder::new(&state.files, state.floor);
        let opened = Engine::open(Arc::new(recorder.clone()), self.options.clone());
        let engine = opened.unwrap_or_else(|error| panic!("{error}: {}", describe(state)));
        let last = last_batch(&engine);
        let recovered = engine.recovered();
        assert!(
            last >= state.floor && last <= history.len(),
            "{last}, of at least {}: {recovered:?}: {}",
            state.floor,
            describe(state)
        );
        assert_eq!(recovered.last_sequence, last * OPS, "{}", describe(state));
        let shown = contents(&engine);
        assert!(
            shown == history.after(last),
            "not the state after {last}: {}",
            describe(state)
        );
        self.counts.dropped += usize::from(!recovered.dropped.is_empty());
        self.counts.beyond += usize::from(last > state.floor);

        recorder.answered(last);
        recorder.synced(last);
        let branch = history.up_to(last);
        self.go_on(state, &recorder, branch, &engine, last, depth);
    }

    /// A write with sync, another opening, and now and then another crash, during all that came since `state`, which
    /// showed `recovered` batches.
    fn go_on(
        &mut self,
        state: &State,
        recorder: &Recorder,
        mut branch: History,
        engine: &Engine,
        recovered: u64,
        depth: usize,
    ) {
        let batch = branch.push(self.tag());
        let last = branch.len();
        let write = Write::new(batch).sync(true).hook(recorder.hook(last));
        engine.write(write).unwrap();
        recorder.synced(last);
        engine.close().unwrap();
        if self.rng.one_in(4) {
            let engine = self.open(&Recorder::new(&recorder.files(), 0));
            assert_eq!(last_batch(&engine), last, "{}", describe(state));
            assert!(
                contents(&engine) == branch.after(last),
                "{}",
                describe(state)
            );
        }
        let go_deeper = self.rng.one_in([100, 30, 30, 1][depth]);
        if depth < 3 && go_deeper {
            self.crash_again(state, recorder, &branch, recovered, depth + 1);
        }
    }

    /// Crashes during the recovery from `state`, and the write after it.
    fn crash_again(
        &mut self,
        state: &State,
        recorder: &Recorder,
        history: &History,
        recovered: u64,
        depth: usize,
    ) {
        let mut states = self.states(&state.files, recorder, 1);
        while states.len() > 40 {
            let unlucky = self.rng.below(states.len() as u64) as usize;
            states.swap_remove(unlucky);
        }
        for mut next in states {
            // A recovery that is cut short takes nothing from what it could have recovered.
            next.floor = next.floor.max(recovered);
            next.story = format!("{}\nthen {}", state.story, next.story);
            self.check(&next, history, depth);
        }
    }
}

fn brief(step: &super::record::Step) -> String {
    let mut text = format!("{step:?}");
    text.truncate(60);
    text
}

fn describe(state: &State) -> String {
    let files = state.files.iter();
    let sizes: Vec<String> = files
        .map(|(name, bytes)| format!("{name} {}", bytes.len()))
        .collect();
    format!("{}\nfiles: {}", state.story, sizes.join(", "))
}
