//! Long-lived work: watches, compactions, verifications, in the leader's process and over side connections, while leaders
//! are killed.

mod child;
mod parting;
mod watch;
mod work;
