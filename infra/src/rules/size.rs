//! A template that is too long for a call has to lie in a bucket, and the bucket has to be there.

use super::order::{delivery_in, reaches};
use super::{Finding, INLINE_BYTES};
use crate::system::System;

/// A stack that can be deployed before its region's bucket is there has a template that fits into a call.
pub(super) fn check(system: &System, found: &mut Vec<Finding>) {
    for stack in &system.stacks {
        // What is sent has no white space.
        let bytes = stack.template.compact_len();
        let delivery = delivery_in(&stack.id.region);
        if bytes > INLINE_BYTES && !reaches(system, &stack.id, &delivery) {
            let message = format!(
                "its template has {bytes} bytes without white space, {INLINE_BYTES} go without a bucket, and {delivery} \
                 need not be there yet"
            );
            let hint = format!("split the stack, or have it come after {delivery} by `Scope::after`");
            found.push(Finding::new("inline-size", stack, message, hint).with(&delivery));
        }
    }
}

#[cfg(test)]
mod tests {
    use cfn::sqs;

    use crate::rules::tests::{broken, stack_of};

    #[test]
    fn before_there_is_a_bucket_a_template_goes_within_the_call() {
        let too_long = |id: &str| -> Vec<String> {
            let found = broken(|system| {
                let template = &mut stack_of(system, id).template;
                for number in 0..400 {
                    let name = format!("tandem-production-filler-{number}-{}", "x".repeat(40));
                    template.add(&format!("Filler{number}"), sqs::Queue::new().queue_name(name));
                }
            });
            let found = found.into_iter().filter(|finding| finding.rule == "inline-size");
            found.map(|finding| finding.stacks[0].to_string()).collect()
        };
        assert_eq!(too_long("access@us-west-2"), ["access@us-west-2"]);
        assert_eq!(too_long("delivery@us-east-1"), ["delivery@us-east-1"]);
        assert_eq!(too_long("events@us-east-1"), Vec::<String>::new(), "it comes after the bucket");
    }
}
