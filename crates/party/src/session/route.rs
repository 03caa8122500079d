//! Whom long-lived work goes to, and waiting for somebody to go to.

use std::sync::Arc;
use std::time::Instant;

use super::{Limits, Local, Session, Tenure, Via};
use crate::error::{Error, Result};

/// Who leads at the moment.
pub(crate) enum Route {
    /// This process.
    Local(Arc<Local>),
    /// Another one, over this tenure.
    Link { tenure: Tenure },
}

impl Session {
    /// Waits until somebody leads whose tenure is not `lost`.
    ///
    /// # Errors
    /// `Closed`, or `ended` says that the caller is; at the deadline what stands in the way.
    pub fn route(
        &self,
        lost: Option<Tenure>,
        limits: &Limits,
        ended: impl Fn() -> bool,
    ) -> Result<Route> {
        let mut inner = self.lock();
        loop {
            if ended() {
                return Err(Error::closed());
            }
            let known = lost == Some(inner.tenure);
            match &inner.via {
                Via::Closed => return Err(Error::closed()),
                Via::Local(local) if !known => return Ok(Route::Local(local.clone())),
                Via::Link(_) if !known => {
                    return Ok(Route::Link {
                        tenure: inner.tenure,
                    });
                }
                _ => {}
            }
            if inner.wait_until(&self.changed, limits.deadline) {
                return Err(inner.timeout_error(limits));
            }
        }
    }

    /// Waits until somebody leads in an epoch after the one numbered `epoch`, and says who and in which.
    ///
    /// # Errors
    /// As [`Session::route`].
    pub fn leader_after(
        &self,
        epoch: u64,
        limits: &Limits,
        ended: impl Fn() -> bool,
    ) -> Result<(u32, u64)> {
        let mut inner = self.inner.lock();
        loop {
            if ended() {
                return Err(Error::closed());
            }
            let pid = match &inner.via {
                Via::Closed => return Err(Error::closed()),
                Via::Nobody => None,
                Via::Local(_) => Some(std::process::id()),
                Via::Link(link) => Some(link.leader_pid()),
            };
            let current = inner.last_epoch.map_or(0, |epoch| epoch.number);
            if let Some(pid) = pid.filter(|_| current > epoch) {
                return Ok((pid, current));
            }
            if self
                .changed
                .wait_until(&mut inner, limits.deadline)
                .timed_out()
            {
                return Err(inner.timeout_error(limits));
            }
        }
    }

    /// Waits until `tenure` has ended or `until` has come.
    pub fn rest(&self, tenure: Tenure, until: Instant, ended: impl Fn() -> bool) {
        let mut inner = self.lock();
        while inner.tenure == tenure && !ended() {
            if inner.wait_until(&self.changed, until) {
                return;
            }
        }
    }

    /// Has whoever waits for a leader look again whether its caller has ended.
    pub fn nudge(&self) {
        let _inner = self.lock();
        self.changed.notify_all();
    }
}
