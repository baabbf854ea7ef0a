//! What the crate promises, seen from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests, whose input is written beside them")]

mod access;
mod drift;
mod fixtures;
mod laws;
mod limits;
mod render;
mod sequence;
mod support;
