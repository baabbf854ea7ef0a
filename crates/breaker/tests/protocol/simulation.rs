//! Long random runs of a large world.
