//! Data at rest is encrypted with a key that the account controls: it can be audited, and taken away.

use serde_json::Value as Json;

use super::super::Context;
use super::super::select::places;
use crate::check::Violation;
use crate::template::Declaration;

/// Where a type names its key.
const KEYS: [(&str, &str); 11] = [
    ("AWS::DynamoDB::GlobalTable", "Replicas/*/SSESpecification/KMSMasterKeyId"),
    ("AWS::DynamoDB::Table", "SSESpecification/KMSMasterKeyId"),
    ("AWS::ECR::Repository", "EncryptionConfiguration/KmsKey"),
    ("AWS::EKS::Cluster", "EncryptionConfig/*/Provider/KeyArn"),
    ("AWS::Events::Archive", "KmsKeyIdentifier"),
    ("AWS::Events::EventBus", "KmsKeyIdentifier"),
    ("AWS::Logs::LogGroup", "KmsKeyId"),
    (
        "AWS::S3::Bucket",
        "BucketEncryption/ServerSideEncryptionConfiguration/*/ServerSideEncryptionByDefault/KMSMasterKeyID",
    ),
    ("AWS::SNS::Topic", "KmsMasterKeyId"),
    ("AWS::SQS::Queue", "KmsMasterKeyId"),
    ("AWS::SecretsManager::Secret", "KmsKeyId"),
];
/// Aliases of keys that belong to a service.
const OF_A_SERVICE: &str = "alias/aws/";

/// A key of one's own, not one that the service made.
pub(super) fn own_keys(_: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    for (_, path) in KEYS.iter().filter(|(type_name, _)| *type_name == declaration.type_name()) {
        for (path, key) in places(declaration, path) {
            let message = match key {
                None => "is not encrypted with a key of its own".to_owned(),
                Some(Json::String(name)) if name.starts_with(OF_A_SERVICE) => {
                    format!("is encrypted with `{name}`, which the account does not control")
                }
                Some(_) => continue,
            };
            found.push(
                Violation::new("own-key", message)
                    .of(declaration)
                    .at(path)
                    .hint("name a key of the account, such as the environment's"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_exists() {
        for (type_name, path) in KEYS {
            let description = crate::describe(type_name).expect(type_name);
            assert!(description.property(path).is_some(), "{type_name} {path}");
        }
    }
}
