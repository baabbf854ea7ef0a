//! The protocol as a whole: every state of small models, and long random runs of a large one.

#[path = "protocol/drainer.rs"]
mod drainer;
#[path = "protocol/drainer_steps.rs"]
mod drainer_steps;
#[path = "protocol/region.rs"]
mod region;
#[path = "protocol/router.rs"]
mod router;
#[path = "protocol/search.rs"]
mod search;
#[path = "protocol/setup.rs"]
mod setup;
#[path = "protocol/simulation.rs"]
mod simulation;
#[path = "protocol/world.rs"]
mod world;
