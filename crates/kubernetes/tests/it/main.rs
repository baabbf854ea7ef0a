//! What applies objects, against a stand-in for a cluster's API.

mod calls;
mod conflicts;
mod kills;
mod kinds;
mod objects;
mod prune;
mod reading;
mod rollout;
mod secrets;
mod support;
