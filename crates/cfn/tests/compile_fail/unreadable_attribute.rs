//! An attribute that CloudFormation can't read is no method of the handle.

use cfn::prelude::*;
use cfn::sqs;

fn main() {
    let mut stack = Template::new();
    let work = stack.add("Work", sqs::Queue::new());
    work.visibility_timeout();
}
