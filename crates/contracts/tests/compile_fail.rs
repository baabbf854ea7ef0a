//! Promises that the compiler keeps; see `compile_fail/README.md`.

#[test]
fn wrong_bindings_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
