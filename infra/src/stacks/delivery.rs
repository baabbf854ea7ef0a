//! `delivery`: the bucket that each region's functions load their code from.

use cfn::s3::bucket::{
    AbortIncompleteMultipartUpload, BucketEncryption, LifecycleConfiguration, NoncurrentVersionExpiration,
    ObjectOwnership, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration, Rule, RuleStatus,
    SSEAlgorithm, ServerSideEncryptionByDefault, ServerSideEncryptionRule, VersioningConfiguration,
    VersioningConfigurationStatus,
};
use cfn::{Value, s3};
use contracts::Region;

use crate::constructs::policy::{Statement, document};
use crate::constructs::{Scope, accepted, key, stateful};
use crate::environment::Environment;
use crate::system::StackInstance;

/// The stack of one region. Lambda loads code only from a bucket of its own region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "delivery", "Artifacts of deployments");
    let key = key::of_region(&mut scope, "KeyArn", region);

    let encryption = ServerSideEncryptionRule::new().bucket_key_enabled(true).server_side_encryption_by_default(
        ServerSideEncryptionByDefault::new(SSEAlgorithm::AwsKms).kms_master_key_id(&key),
    );
    let private = PublicAccessBlockConfiguration::new()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true);
    // Templates of reviews are of no use once they were looked at. Deployments read nothing there.
    let reviews = Rule::new(RuleStatus::Enabled).id("Reviews").prefix("reviews/").expiration_in_days(7);
    // Artifacts are named by their content, so a version goes only when the same name is written again.
    let clean_up = Rule::new(RuleStatus::Enabled)
        .id("CleanUp")
        .abort_incomplete_multipart_upload(AbortIncompleteMultipartUpload::new(7))
        .noncurrent_version_expiration(NoncurrentVersionExpiration::new(30));
    let bucket = s3::Bucket::new()
        .bucket_name(cfn::sub(&format!("{}-${{AWS::AccountId}}-${{AWS::Region}}", environment.name("artifacts"))))
        .bucket_encryption(BucketEncryption::new([encryption]))
        .public_access_block_configuration(private)
        .ownership_controls(OwnershipControls::new([
            OwnershipControlsRule::new().object_ownership(ObjectOwnership::BucketOwnerEnforced)
        ]))
        .versioning_configuration(VersioningConfiguration::new(VersioningConfigurationStatus::Enabled))
        .lifecycle_configuration(LifecycleConfiguration::new([clean_up, reviews]));
    // Neither are objects locked nor is anybody told of them: an artifact can be built again from its commit, and only
    // a deployment, which knows its names, reads it.
    let no_log = "it holds programs that can be built again from their commit and templates of reviews, nothing secret: \
                  a log of who read them, in one more bucket, would be read by nobody";
    let bucket = scope.add("Artifacts", accepted(stateful(bucket), &[("CKV_AWS_18", no_log)]));

    let arn: Value<String> = bucket.arn().into();
    let objects = cfn::join("/", [arn.clone(), "*".into()]);
    let policy = document([Statement::deny_without_tls("s3:*", [arn, objects])]);
    scope.add("ArtifactsPolicy", s3::BucketPolicy::new(bucket.reference(), policy));
    scope.output("ArtifactBucketName", "Bucket of the functions' code", bucket.reference());
    scope.finish()
}
