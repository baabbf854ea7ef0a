//! A property that only the service sets has no setter.

fn main() {
    cfn::sqs::Queue::new().arn("arn:aws:sqs:us-west-2:000000000000:work");
}
