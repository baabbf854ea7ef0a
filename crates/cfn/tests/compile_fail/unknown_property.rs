//! A property that AWS's schema does not have can't be set.

fn main() {
    cfn::sqs::Queue::new().visibility_timeouts(30);
}
