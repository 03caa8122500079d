//! The memory of a region: words and bytes at offsets, and nothing of what they mean.
//!
//! The one place that turns offsets into addresses. It checks nothing: [`Arena`](crate::layout::Arena) does. Built with
//! `--cfg loom` it is replaced by a model of memory in which every order of loads and stores that hardware allows is
//! tried (`memory/modelled.rs`); all code above it is the same.

#[cfg(loom)]
mod modelled;
#[cfg(not(loom))]
mod real;

#[cfg(all(test, loom))]
pub(crate) use modelled::plant;
#[cfg(loom)]
pub(crate) use modelled::{AtomicU32, AtomicU64, Memory, Planted, fence, planted};
#[cfg(not(loom))]
pub(crate) use real::{AtomicU32, AtomicU64, Memory, fence};
