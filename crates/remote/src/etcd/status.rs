//! How a cluster is.

use super::client::{ATTEMPT, Attempts};
use super::history::Cluster;
use super::reads::{How, newest};
use super::rpc::{self, AlarmResponse, MemberListResponse, Nothing, StatusResponse};
use crate::answer::{Standby, Status};
use crate::error::Result;

/// etcd's kinds of alarm.
const NO_SPACE: i32 = 1;
const CORRUPT: i32 = 2;

/// Asks for it.
pub async fn status(cluster: &Cluster, shown: &str, how: How) -> Result<Status> {
    let last = newest(cluster, how).await?;
    let mut attempts = Attempts::new(how.deadline, ATTEMPT);
    let client = &cluster.client;
    let nothing = Nothing {};
    let node: StatusResponse = client
        .ask_until(rpc::STATUS, &nothing, &mut attempts, true)
        .await?;
    let members: MemberListResponse = client
        .ask_until(rpc::MEMBER_LIST, &nothing, &mut attempts, true)
        .await?;
    let alarms: AlarmResponse = client
        .ask_until(rpc::ALARM, &nothing, &mut attempts, true)
        .await?;
    let voting = members
        .members
        .iter()
        .filter(|member| !member.is_learner)
        .count();
    let mut status = Status::new(format!("etcd {}", node.version), shown, last);
    status.standby = match voting {
        0 | 1 => Standby::None,
        _ => Standby::Synchronous,
    };
    status.warnings = warnings(voting, &alarms);
    status.trouble = client.trouble();
    Ok(status)
}

/// What an operator should know of a cluster.
pub fn warnings(voting: usize, alarms: &AlarmResponse) -> Vec<String> {
    let mut warnings = Vec::new();
    match voting {
        0 | 1 => {
            warnings.push("etcd runs on one node: its loss is the loss of the database".into());
        }
        2 => warnings.push("etcd runs on two nodes: it stands still when either is away".into()),
        _ => {}
    }
    for alarm in &alarms.alarms {
        warnings.push(match alarm.alarm {
            NO_SPACE => "etcd has no space left and takes no writes (alarm NOSPACE: compact, defragment, disarm)".into(),
            CORRUPT => format!("etcd says that its member {:x} has a corrupt store (alarm CORRUPT)", alarm.member_id),
            other => format!("etcd has the alarm {other}"),
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::rpc::AlarmMember;

    #[test]
    fn few_nodes_and_alarms_are_told() {
        let none = AlarmResponse::default();
        assert!(warnings(3, &none).is_empty());
        assert_eq!(warnings(1, &none).len(), 1);
        let alarm = |alarm| AlarmMember {
            member_id: 9,
            alarm,
        };
        let alarms = AlarmResponse {
            alarms: vec![alarm(NO_SPACE), alarm(CORRUPT)],
        };
        let told = warnings(2, &alarms);
        assert_eq!(told.len(), 3);
        assert!(told[1].contains("NOSPACE") && told[2].contains("member 9"));
    }
}
