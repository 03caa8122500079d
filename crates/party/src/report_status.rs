//! What a [`Status`] says: put together from the shared memory, this process's engine, and `level-party.state`. Nobody is
//! asked, so that it answers beside a stopped leader too.

use std::time::{Duration, SystemTime};

use level_party_engine::MemberInfo;
use level_party_os::process;

use crate::error::Result;
use crate::events::Hub;
use crate::member::Member;
use crate::options::EngineOptions;
use crate::place::Place;
use crate::status::{LeaderStatus, MemberStatus, Status, first_of};

/// The status of a member, whose handles were opened with `asked`.
pub(crate) fn of(
    place: &Place,
    events: &Hub,
    member: &Member,
    asked: &EngineOptions,
) -> Result<Status> {
    let engine = member.engine();
    let stats = engine.stats();
    let leadership = member.leadership()?;
    let leader = engine.leader();
    let mut infos = engine.members();
    infos.sort_by_key(|info| (Some(info.incarnation) != leader, info.incarnation));
    let now = process::since_boot();
    let members: Vec<MemberStatus> = infos
        .iter()
        .map(|info| status_of(events, member, info, now))
        .collect();
    let leads = |info: &&MemberInfo| Some(info.incarnation) == leader;
    let leader_pid = infos.iter().find(leads).map(|info| info.pid);
    let followers = infos.iter().filter(|info| !leads(info));
    let oldest = members
        .iter()
        .filter_map(|member| Some((member.oldest_pin?, member.oldest_pin_held_for)))
        .min_by_key(|(sequence, held_for)| (*sequence, std::cmp::Reverse(*held_for)));
    let since = SystemTime::now().duration_since(leadership.since);
    let status = LeaderStatus {
        leader_pid: leader_pid.unwrap_or(leadership.pid),
        leader_program: leadership.program,
        epoch: leadership.number,
        leading_for: since.unwrap_or_default(),
        last_sequence: stats.last_sequence,
        followers: followers.map(|info| info.pid).collect(),
        pins: members.iter().map(|member| member.pins).sum(),
        oldest_pin: oldest.map(|(sequence, _)| sequence),
        oldest_pin_held_for: oldest.and_then(|(_, held_for)| held_for),
        members,
        files_per_level: stats.files_per_level.iter().map(|&n| n as u64).collect(),
        bytes_per_level: stats.bytes_per_level.to_vec(),
        memtable_bytes: stats.memtable_bytes,
        dropped: first_of(member.dropped()),
        losses: engine.losses(),
        background_error: stats.background_error,
    };
    Ok(Status {
        role: place.role(),
        pid: std::process::id(),
        leader: status,
        service: member.service_state()?,
        queued_calls: place.room.calls() as u64,
        queued_bytes: place.room.bytes() as u64,
        last_trouble: events.last_trouble(),
        recent_events: events.last(),
        differing_options: asked.differences(member.options()),
    })
}

fn status_of(events: &Hub, member: &Member, info: &MemberInfo, now: Duration) -> MemberStatus {
    let is_this = info.incarnation == member.engine().incarnation();
    let since = |moment: u64| now.saturating_sub(Duration::from_millis(moment));
    MemberStatus {
        pid: info.pid,
        program: process::describe(info.pid).program,
        attached_for: info.joined.map(since).unwrap_or_default(),
        pins: info.pins.into(),
        oldest_pin: info.pinned,
        oldest_pin_held_for: info.pinned.and(info.pinned_since).map(since),
        last_trouble: is_this.then(|| events.last_trouble()).flatten(),
    }
}
