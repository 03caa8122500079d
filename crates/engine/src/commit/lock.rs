//! Taking the commit lock (docs/COMMIT.md, C3 and T).
//!
//! Promises: only a dead holder loses the lock, never one that is slow or stopped; every wait ends by itself, so that a
//! ring that is lost with its ringer costs some milliseconds; no turn is reserved: who is awake may come first.
//! Must not know: what is done under the lock.

use std::time::Duration;

use crate::base::control::{BellKind, CondemnReason, Held};
use crate::base::error::{Error, Result};
use crate::base::health::{Health, condemned};
use crate::base::member::Member;
use crate::base::peers::Incarnation;
use crate::base::waiting::{Patience, WaitedFor};

/// Looks at the lock before the first sleep: a commit takes some microseconds.
const SPINS: u32 = 200;
/// The sleeps, the last of them again and again. After each the holder's death is asked for.
const SLEEPS: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(10),
];

impl Member {
    /// The commit lock, once nobody else has it. A dead holder's is taken over, with the record that it may have left in
    /// flight. One thread of a member at a time asks for it.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if the holder still has it when the patience is at its end; writing
    /// has ended, or the engine is being closed; [`ErrorKind::Condemned`](crate::ErrorKind::Condemned), also if the lock
    /// names this member itself.
    pub(crate) fn lock(&self, health: &Health, patience: Patience) -> Result<Held<'_>> {
        let peers = self.peers.as_ref();
        let spins = match patience {
            Patience::None => 1,
            _ => SPINS,
        };
        for _ in 0..spins {
            if let Some(held) = self.control.try_lock(self.own, false, peers) {
                return Ok(held);
            }
            std::hint::spin_loop();
        }
        let mut sleeps = SLEEPS.iter();
        let mut at_most = SLEEPS[0];
        loop {
            health.check_open()?;
            health.check()?;
            let (bell, rings) = self.control.bell(BellKind::Lock);
            let holder = self.control.announce_sleep();
            if holder != 0 {
                self.check_holder(holder)?;
                at_most = *sleeps.next().unwrap_or(&at_most);
                let Some(sleep) = patience.sleep(at_most) else {
                    return Err(Error::timed_out(WaitedFor::Holder(holder)));
                };
                peers.sleep(bell, rings, sleep);
            }
            if let Some(held) = self.control.try_lock(self.own, true, peers) {
                return Ok(held);
            }
            let holder = self.control.holder();
            if holder != 0
                && (planted!(TakenFromTheLiving) || self.is_dead(holder))
                && let Some(held) = self.control.take_over(holder, self.own, peers)
            {
                return Ok(held);
            }
        }
    }

    /// This thread alone takes the lock for this member, and has not got it: if the lock names the member, nobody will ever
    /// give it back.
    fn check_holder(&self, holder: Incarnation) -> Result<()> {
        if holder != self.own {
            return Ok(());
        }
        self.control.condemn(CondemnReason::Damaged);
        Err(condemned(CondemnReason::Damaged))
    }
}
