//! The engine through its public face.

mod model;
mod support;
