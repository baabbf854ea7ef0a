//! Exit codes: what scripts and pipelines decide by.
//!
//! When several apply, the order is error, refused, broadened, destructive, changes.

/// Done, or nothing to do.
pub const DONE: u8 = 0;

/// Failed: the command line, a file of the checkout, a remote service or the tool itself.
///
/// A wrong command line ends with this code too, and not with the argument parser's usual 2, because 2 means changes.
/// Which sort of failure it was is told apart in the text and, with `--format json`, in `error.kind`.
pub const ERROR: u8 = 1;

/// There are changes that would be made, all of them safe.
pub const CHANGES: u8 = 2;

/// There are changes that replace or remove something.
pub const DESTRUCTIVE: u8 = 3;

/// There are changes that broaden permissions or network access.
pub const BROADENED: u8 = 4;

/// Ended by Ctrl-C or SIGTERM; what was begun may go on elsewhere. The code that a shell gives for Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Refused: the plan is stale, or going on would do harm.
pub const REFUSED: u8 = 5;
