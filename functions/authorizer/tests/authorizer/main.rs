//! The authorizer with a secret in memory, an issuer on this machine and a clock that is set by hand.

mod attacks;
mod events;
mod issuer;
mod keys;
mod nonsense;
mod signing;
mod tokens;
mod world;
