//! The native half of the npm package `level-party`: [`level_party`] by Node-API.
//!
//! JavaScript (`npm/level-party/lib`) has the classes; this has plain functions over numbered objects. How a call goes:
//!
//! - JavaScript packs keys and values into one *scratch* buffer that both see, and calls a function with their lengths
//!   (`packed.rs`). So a call crosses the border once, whatever it brings.
//! - The function makes a future of it, and polls that once on the loop's thread (`tasks.rs`). What is answered by then is the
//!   function's result. Else the result is a *ticket*: when the future is woken, from whichever thread, one call for all woken
//!   futures (`bell.rs`) has JavaScript ask for what has become of them.
//!
//! `border` is the one module with `unsafe`, and the one that knows Node-API. The others see `border::Call`,
//! `answer::Answer` and `fault::Fault` alone.
#![deny(unsafe_code)]

mod answer;
mod border;
mod calls;
mod chunk;
mod fault;
mod objects;
mod options;
mod packed;
mod realm;
mod tasks;
