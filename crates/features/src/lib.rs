//! One feature set of the heavy dependencies for every build of this workspace; holds no code.
//!
//! The manifest says why.
