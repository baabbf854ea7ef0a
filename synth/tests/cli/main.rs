//! The tool as a process: what is typed, what comes out on which stream, how it ends.
//!
//! Nothing here needs network, an AWS account or the local platform.

mod diagrams;
mod diffs;
mod environments;
mod errors;
mod help;
mod kubernetes;
mod machine;
mod operations;
mod parity;
mod roles;
mod run;
mod templates;
