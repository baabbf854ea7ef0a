//! Types whose real resources hold what can't be made again.
//!
//! Source: `StatefulResources.json` of cfn-lint 1.58.0, cut to the vendored types, and the additions marked below.

const STATEFUL: [&str; 12] = [
    "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table",
    // Addition: holds pushed images, and deployments point at them.
    "AWS::ECR::Repository",
    // Addition: holds the events that could be replayed.
    "AWS::Events::Archive",
    "AWS::KMS::Key",
    // Addition: as a key; data encrypted in its region is lost with it.
    "AWS::KMS::ReplicaKey",
    "AWS::Logs::LogGroup",
    // Addition: holds records that others delegate to; its name servers change when it is made anew.
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    // Addition: its value may have been changed outside of any template.
    "AWS::SSM::Parameter",
    "AWS::SecretsManager::Secret",
];

pub(crate) fn is_stateful(type_name: &str) -> bool {
    STATEFUL.contains(&type_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stateful_type_is_vendored() {
        for type_name in STATEFUL {
            assert!(crate::describe(type_name).is_some(), "{type_name}");
        }
    }
}
