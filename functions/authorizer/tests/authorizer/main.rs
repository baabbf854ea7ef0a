//! The authorizer with a secret in memory, an issuer on this machine and a clock that is set by hand.

mod events;
mod keys;
mod tokens;
mod world;
