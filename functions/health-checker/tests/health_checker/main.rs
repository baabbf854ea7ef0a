//! The health checker over fake services, with a clock that jumps to whatever happens next.

mod answers;
mod authority;
mod checks;
mod virtual_time;
mod world;
