//! Measures the functions as Lambda runs them: the real programs, each in a process of its own, against a small Runtime API.
//!
//! One decision shapes this crate: **nothing of a function is linked in.** A program is started with the variables that Lambda
//! sets, asks for events over HTTP, calls AWS over HTTP (a stand-in, [`aws_stub`]), and what it takes is what the kernel says
//! of its process. So what is measured is what is deployed, and a function in another language is measured the same way.
//!
//! Server and program share one core. A hand-over between cores costs more than the work of most functions, and a small
//! function has less than one core in Lambda. What only Lambda can show (how it starts a sandbox, how it freezes one) is not
//! part of any figure: compare ratios in one run.
//!
//! `cargo bench -p runtime-bench` builds the programs with the profile `lambda` and prints one JSON document. No program
//! depends on this crate.

pub mod aws_stub;
pub mod cases;
mod error;
pub mod figures;
pub mod http;
pub mod measure;
pub mod payloads;
pub mod process;
pub mod programs;
pub mod runtime_api;
pub mod tokens;

pub use error::Error;
