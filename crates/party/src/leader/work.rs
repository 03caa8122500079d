//! Work that only the leader does, for whichever process asked for it.

use serde_bytes::ByteBuf;

use super::Leadership;
use crate::checkpoint::Staging;
use crate::error::Error;
use crate::faults;
use crate::protocol::{Task, TaskResult};
use crate::report::VerifyReport;
use crate::stop::Stop;

impl Leadership {
    /// Does `task`, on this thread, for as long as `wanted` says so.
    ///
    /// # Errors
    /// `Over` where the leadership ends first; whoever asks again does so of the next leader.
    pub fn perform(&self, task: &Task, wanted: &dyn Fn() -> bool) -> Result<TaskResult, Stop> {
        faults::point("work-begun");
        let go_on = || wanted() && !self.is_leaving();
        let result = self.perform_while(task, &go_on);
        match result {
            // Whatever it failed with: the leadership was ending under it.
            Err(Stop::Failed(_)) if !go_on() => Err(Stop::Over),
            Ok(_) if !self.member.may_answer() => Err(Stop::Over),
            result => result,
        }
    }

    fn perform_while(&self, task: &Task, go_on: &dyn Fn() -> bool) -> Result<TaskResult, Stop> {
        let engine = self.member.engine();
        match task {
            Task::CompactRange { begin, end } => {
                let key = |bound: &Option<ByteBuf>| bound.as_ref().map(|key| key.to_vec());
                let (begin, end) = (key(begin), key(end));
                engine.compact_range_while(begin.as_deref(), end.as_deref(), go_on)?;
                Ok(TaskResult::Compacted)
            }
            Task::Verify => {
                let found = engine.view()?.verify_while(go_on);
                let found = found.ok_or(Stop::Over)?;
                let report = VerifyReport::of(found, engine.losses());
                Ok(TaskResult::Verified(report.into()))
            }
            Task::Acknowledge => Ok(TaskResult::Acknowledged(engine.acknowledge_losses()?)),
            Task::Checkpoint(copy) => {
                let staging = Staging::new(copy);
                let target = staging.make().map_err(Stop::Failed)?;
                let copied = engine.checkpoint_while(&target, go_on);
                if !matches!(copied, Ok(Some(_))) {
                    staging.discard();
                }
                Ok(TaskResult::Copied(copied?.ok_or(Stop::Over)?))
            }
            Task::Yield => Err(Stop::Failed(Error::protocol(
                "this is answered, not performed",
            ))),
        }
    }
}
