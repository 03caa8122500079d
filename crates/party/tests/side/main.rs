//! Long-lived work: watches, compactions, verifications, checkpoints, in the leader's process and over side connections, while leaders
//! are killed.

mod checkpoint;
mod child;
mod parting;
mod skew;
mod watch;
mod work;
