//! Integration tests of `cfn`, in one binary.

mod breadth;
mod checks;
mod compile_fail;
mod example;
mod rendering;
mod wrong;
