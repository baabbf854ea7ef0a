//! A required property can't be left out.

fn main() {
    cfn::events::rule::Target::new("arn:aws:sqs:us-west-2:000000000000:work");
}
