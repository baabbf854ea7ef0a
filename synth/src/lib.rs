//! The tool that turns typed stacks into running regions: synthesis, deployment, the local platform.

pub mod artifacts;
pub mod breakers;
pub mod cli;
pub mod commands;
pub mod deploy;
pub mod doctor;
pub mod error;
pub mod exit_code;
pub mod generate;
pub mod local;
mod offline;
mod reach;
pub mod redrive;
mod schema_registry;
pub mod smoke;
pub mod sweep;
pub mod ui;
