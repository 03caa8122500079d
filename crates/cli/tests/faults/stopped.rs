//! Calls end in time beside a process that is stopped in the middle of something, and who is to leave can leave.

use level_party::{Db, Lead};
use level_party_os::process::{ProcessState, describe};
use level_party_testkit::ExecChild;
use serde_json::json;

use crate::held::{hold_at, pipe, wait};
use crate::{HOLD, PROGRAM, STOP};

fn wait_until_stopped(child: &ExecChild) {
    wait("it is stopped", || {
        describe(child.pid()).state == ProcessState::Stopped
    });
}

/// Its own descriptor is not trusted, and the table that would do is the leader's to write.
#[test]
fn sync_beside_a_leader_stopped_in_its_sync_has_its_deadline() {
    let dir = tempfile::tempdir().expect("a directory");
    let fate = [(STOP, "Sync:1")];
    let mut leader = ExecChild::spawn_in(PROGRAM, dir.path(), [] as [&str; 0], &fate);
    leader.put("a", "1");
    let flags = ["--timeout", "1", "--open-timeout", "10"];
    let mut follower = ExecChild::spawn_with(PROGRAM, dir.path(), flags);
    follower.put("b", "1");
    leader.send(&json!({"op": "put", "key": "c", "value": "1", "sync": true}));
    wait_until_stopped(&leader);
    let put = json!({"op": "put", "key": "d", "value": "1", "sync": true});
    let answer = follower.ask(&put);
    assert_eq!(answer["error"]["kind"], "OutcomeUnknown", "{answer}");
    assert_eq!(follower.get("d").as_deref(), Some("1"), "it is applied");
    leader.resume();
    assert_eq!(leader.answer()["ok"], true);
    follower.ok(&put);
}

#[test]
fn compacting_leader_leaves_beside_a_stopped_lock_holder() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = pipe(dir.path());
    let data = dir.path().join("data");
    let hold = format!("work-begun:1:{}", pipe.display());
    let flags = [] as [&str; 0];
    let mut leader = ExecChild::spawn_in(PROGRAM, &data, flags, &[(HOLD, &hold)]);
    leader.put("first", "1");
    let own = Db::options().lead(Lead::Never).open(&data);
    let own = own.expect("somebody leads");
    own.put("a", "1").expect("nobody has the lock");
    let mut holder = ExecChild::spawn_in(PROGRAM, &data, flags, &[(STOP, "Append:1")]);
    holder.send(&json!({"op": "put", "key": "b", "value": "1"}));
    wait_until_stopped(&holder);
    std::thread::scope(|threads| {
        let compacting = threads.spawn(|| own.compact_range(..));
        // The entries that are there have to be flushed first.
        drop(hold_at(&pipe));
        assert!(leader.close().success());
        holder.resume();
        assert_eq!(holder.answer()["ok"], true);
        let compacted = compacting.join().expect("no panic");
        compacted.expect("the holder leads by now");
    });
    assert_eq!(holder.leader_pid(), holder.pid());
}
