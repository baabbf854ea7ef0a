//! A queue's ARN can't be given where a key is wanted.

use cfn::prelude::*;
use cfn::sqs;

fn main() {
    let mut stack = Template::new();
    let work = stack.add("Work", sqs::Queue::new());
    stack.add("Other", sqs::Queue::new().kms_master_key_id(work.arn()));
}
