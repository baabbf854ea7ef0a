//! A nested type of one resource can't be given to another.

fn main() {
    cfn::lambda::Function::new(
        cfn::lambda::layer_version::Content::new(cfn::pseudo::no_value(), "code.zip"),
        cfn::pseudo::no_value(),
    );
}
