//! The topic that tells people of alarms.
//!
//! Every alarm tells it. A pager subscribes with a filter on the alarm's name, as the runbooks say.

use cfn::{Arn, Value, kms, sns};

use crate::constructs::policy::{Statement, document, pascal_case};
use crate::constructs::{Scope, stateful};

/// Adds the topic with its subscriptions; its ARN.
#[track_caller]
pub(super) fn add(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Value<String> {
    let topic = sns::Topic::new().topic_name(scope.environment.name("alarms")).kms_master_key_id(key);
    // Who subscribed by hand, and who confirmed by mail, would have to do so again.
    let topic = scope.add("Alarms", stateful(topic));
    let arn: Value<String> = topic.topic_arn().into();

    let own_alarms = scope.arn_in(scope.region, "cloudwatch", "alarm:*");
    let publish = Statement::allow("CloudWatchAlarms", ["sns:Publish"], [arn.clone()])
        .for_service("cloudwatch.amazonaws.com")
        .when("StringEquals", "aws:SourceAccount", cfn::pseudo::account_id().into_inner())
        .when("ArnLike", "aws:SourceArn", own_alarms.into_inner());
    let policy = document([publish, Statement::deny_without_tls("sns:Publish", [arn.clone()])]);
    scope.add("AlarmsPolicy", sns::TopicPolicy::new(policy, [topic.topic_arn()]));

    let mut known = std::collections::BTreeSet::new();
    for address in &scope.environment.alarms().recipients {
        if known.insert(address) {
            let subscription = sns::Subscription::new("email", topic.topic_arn()).endpoint(address);
            scope.add(&subscription_id(address), subscription);
        }
    }
    arn
}

/// A logical id that another order of the addresses doesn't change.
///
/// What isn't a letter or a digit is written by its number, so that two addresses never have the same id.
fn subscription_id(address: &str) -> String {
    let words = address.split('@').map(pascal_case).collect::<Vec<_>>().join("At");
    let plain = words.chars().flat_map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_string().chars().collect::<Vec<_>>(),
        other => format!("x{:x}", u32::from(other)).chars().collect(),
    });
    format!("To{}", plain.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_subscriptions() {
        assert_eq!(subscription_id("platform-on-call@example.com"), "ToPlatformOnCallAtExamplex2ecom");
        assert_ne!(subscription_id("a.b@example.com"), subscription_id("a_b@example.com"));
    }
}
