//! The repository of the consumer's images. Each region has its own, so that a region alone can start pods.

use cfn::ecr::Repository;
use cfn::ecr::repository::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, LifecyclePolicy,
};
use cfn::{Arn, Value, kms};
use serde_json::json;

use super::repository;
use crate::constructs::{Scope, stateful};

/// Tags of images that were built to be looked at and never run in a cluster begin with this.
const REVIEW_TAGS: &str = "review-";

/// Days after their push until they go.
const REVIEW_DAYS: u32 = 14;

/// Adds the repository.
pub(super) fn add(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) {
    // Only what can't be running goes. Age and number say nothing of that: the oldest image may be the one that runs, and
    // a pod that starts on a new node must find it. Nor does a missing tag: an image may be deployed by its digest.
    let lifecycle = json!({"rules": [{
        "rulePriority": 1,
        "description": "images of reviews are not deployed",
        "selection": {
            "tagStatus": "tagged",
            "tagPrefixList": [REVIEW_TAGS],
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": REVIEW_DAYS,
        },
        "action": {"type": "expire"},
    }]});
    let images = Repository::new()
        .repository_name(repository(scope.environment))
        .image_tag_mutability(ImageTagMutability::Immutable)
        .image_scanning_configuration(ImageScanningConfiguration::new().scan_on_push(true))
        .encryption_configuration(EncryptionConfiguration::new(EncryptionType::Kms).kms_key(key))
        .lifecycle_policy(LifecyclePolicy::new().lifecycle_policy_text(lifecycle.to_string()));
    let images = scope.add("ConsumerImages", stateful(images));
    scope.output("ConsumerImagesUri", "Where the consumer's images are pushed", images.repository_uri());
}
