//! How a cluster is.

use super::client::{ATTEMPT, Attempts};
use super::history::Cluster;
use super::reads::{How, newest};
use super::rpc::{self, AlarmResponse, MemberListResponse, Nothing, StatusResponse};
use crate::answer::{Standby, Status};
use crate::error::{Error, ErrorKind, Result};

/// etcd's kinds of alarm.
const NO_SPACE: i32 = 1;
const CORRUPT: i32 = 2;

/// Asks for it.
///
/// # Errors
/// `IncompatibleVersion`: a database must not lie on this version ([`check_version`]).
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
    let version_warning = check_version(&node.version)?;
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
    status
        .warnings
        .extend(version_warning.filter(|_| voting == 1));
    status.trouble = client.trouble();
    Ok(status)
}

/// What a version cannot do: a warning for a cluster of one node.
///
/// # Errors
/// `IncompatibleVersion`: it is older than 3.4, or can lose data when it is killed (3.5.0 to 3.5.2,
/// <https://github.com/etcd-io/etcd/issues/13766>).
fn check_version(version: &str) -> Result<Option<String>> {
    let refused = |why: &str| {
        let what = format!("etcd {version} can't be used: {why}");
        Err(Error::new(ErrorKind::IncompatibleVersion, what))
    };
    match numbers(version) {
        (..3, ..) | (3, ..4, _) => refused("it is older than 3.4"),
        (3, 5, ..3) => refused("it can lose data when it is killed; 3.5.3 does not"),
        (3, 4, ..21) | (3, 5, ..5) => Ok(Some(format!(
            "etcd {version} on one node acknowledges writes before they are on its disk; 3.4.21 and 3.5.5 do not"
        ))),
        _ => Ok(None),
    }
}

/// Whether a node of this version answers a progress request in order with the events of its stream
/// (<https://github.com/etcd-io/etcd/issues/15220>).
pub fn tells_progress(version: &str) -> bool {
    match numbers(version) {
        (3, 4, patch) => patch >= 25,
        (3, 5, patch) => patch >= 8,
        (major, minor, _) => (major, minor) > (3, 5),
    }
}

/// Major, minor and patch; 0 for what is no number.
fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>().ok());
    let mut next = || numbers.next().flatten().unwrap_or(0);
    (next(), next(), next())
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
    fn versions_that_lose_data_are_refused() {
        let refused = |version| {
            check_version(version).is_err_and(|e| e.kind() == ErrorKind::IncompatibleVersion)
        };
        assert!(
            ["3.3.27", "3.5.0", "3.5.2", "2.3.8", "", "x"]
                .into_iter()
                .all(refused)
        );
        let warned = |version| check_version(version).is_ok_and(|warning| warning.is_some());
        assert!(["3.4.0", "3.4.20", "3.5.4"].into_iter().all(warned));
        let good = |version| check_version(version).is_ok_and(|warning| warning.is_none());
        assert!(
            ["3.4.23", "3.5.5", "3.6.1-rc.0", "4.0.0"]
                .into_iter()
                .all(good)
        );
    }

    #[test]
    fn progress_is_believed_of_versions_that_keep_its_order() {
        let late = ["3.4.24", "3.5.7", "", "2.9.9"];
        assert!(!late.into_iter().any(tells_progress));
        let good = ["3.4.25", "3.5.8", "3.5.16", "3.6.0-rc.1", "4.0.0"];
        assert!(good.into_iter().all(tells_progress));
    }

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
