//! The promises that the compiler keeps, as recorded compiler errors. `tests/compile_fail/README.md` says what each proves.

#[test]
fn wrong_templates_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
