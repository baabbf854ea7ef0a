//! What the consumer's pods are given: an identity, settings, and passwords as files.

use std::collections::BTreeMap;
use std::fmt::Write;

use contracts::{CdcConsumerSettings, KafkaSecurity, Region};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::custom::{Parameters, SecretProviderClass, SecretProviderClassSpec};
use super::{Folder, Manifest, metadata};
use crate::consumer::{CA_FILE, KafkaEndpoints, SCHEMA_REGISTRY_CREDENTIALS, consumer_environment};
use crate::environment::{Environment, KafkaCluster};
use crate::stacks::cluster::SERVICE_ACCOUNT;

/// A secret that the consumer reads as the files of a folder of its own.
pub(super) struct MountedSecret<'a> {
    /// Name of the volume, and of the object that says which files the secret becomes.
    pub(super) name: &'static str,
    /// The secret's name in Secrets Manager.
    secret: &'a str,
    /// Where the consumer looks for the files.
    pub(super) folder: String,
    /// Members of the secret, each with the file that it becomes.
    files: Vec<(&'static str, &'static str)>,
}

/// What asks for a user's name and password.
const USER_FILES: [(&str, &str); 2] = [("username", "username"), ("password", "password")];

/// What asks for the client's own certificate.
const CERTIFICATE_FILES: [(&str, &str); 2] = [("certificate", "certificate.pem"), ("key", "key.pem")];

/// The secrets of the consumer's pods; none on the local platform, where nobody asks for passwords.
pub(super) fn mounted_secrets(environment: &Environment) -> Vec<MountedSecret<'_>> {
    let KafkaCluster::Existing { security, private_ca, credentials_secret, schema_registry_secret, .. } =
        &environment.kafka().cluster
    else {
        return Vec::new();
    };
    let own = match security {
        KafkaSecurity::Mtls => CERTIFICATE_FILES,
        KafkaSecurity::SaslSsl | KafkaSecurity::Plaintext => USER_FILES,
    };
    let authority = private_ca.then_some(("ca", CA_FILE));
    let kafka = MountedSecret {
        name: "kafka-credentials",
        secret: credentials_secret,
        // The contract's default.
        folder: CdcConsumerSettings::default().kafka_credentials_dir,
        files: own.into_iter().chain(authority).collect(),
    };
    let registry = schema_registry_secret.as_deref().map(|secret| MountedSecret {
        name: "schema-registry-credentials",
        secret,
        folder: SCHEMA_REGISTRY_CREDENTIALS.to_owned(),
        files: USER_FILES.into(),
    });
    [kafka].into_iter().chain(registry).collect()
}

/// Bytes of the settings' hash that their name ends in: chance of the same name for other settings 1 in 2^40.
const HASH_BYTES: usize = 5;

pub(super) fn manifests(environment: &Environment, region: &Region) -> Vec<Manifest> {
    let mut manifests = vec![
        Manifest::new(Folder::Consumer, "service-account.yaml", &service_account()),
        Manifest::new(Folder::Consumer, "config-map.yaml", &config_map(environment, region)),
    ];
    manifests.extend(mounted_secrets(environment).iter().map(|secret| {
        let file = format!("secret-provider-class-{}.yaml", secret.name);
        Manifest::new(Folder::Consumer, &file, &secret_provider_class(secret, region))
    }));
    manifests
}

/// The `cluster` stack gives it the consumer's role. Its token for Kubernetes is of no use to the consumer; the one for
/// AWS is mounted by EKS.
fn service_account() -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(SERVICE_ACCOUNT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The consumer's settings. Their name changes with them, so that a change starts new pods, and pods of the old
/// deployment that start once more during a rollout still find the old ones.
///
/// So each change leaves an object behind. One that no ReplicaSet of the deployment names any more is pruned; those named are
/// what a rollback needs.
fn config_map(environment: &Environment, region: &Region) -> ConfigMap {
    ConfigMap {
        metadata: metadata(&settings_name(environment, region)),
        data: Some(settings(environment, region)),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

fn settings(environment: &Environment, region: &Region) -> BTreeMap<String, String> {
    consumer_environment(environment, region, &KafkaEndpoints::of(environment))
}

/// `consumer-` and a hash of the settings.
pub(super) fn settings_name(environment: &Environment, region: &Region) -> String {
    let text = json!(settings(environment, region)).to_string();
    let hash = Sha256::digest(text.as_bytes());
    let mut name = format!("{}-", contracts::CdcConsumer::NAME);
    for byte in hash.iter().take(HASH_BYTES) {
        write!(name, "{byte:02x}").expect("text takes whatever is written to it");
    }
    name
}

/// A secret's members as files.
fn secret_provider_class(secret: &MountedSecret<'_>, region: &Region) -> SecretProviderClass {
    let members = secret.files.iter().map(|(member, file)| json!({"path": member, "objectAlias": file}));
    let objects = json!([{
        "objectName": secret.secret,
        "objectType": "secretsmanager",
        // The driver writes the whole secret too.
        "objectAlias": "secret",
        "jmesPath": members.collect::<Vec<_>>(),
    }]);
    let parameters = Parameters {
        objects: super::yaml(&objects),
        // Without it each mount would ask Kubernetes for the node's region.
        region: region.to_string(),
        use_pod_identity: "true".to_owned(),
    };
    let spec = SecretProviderClassSpec { provider: "aws".to_owned(), parameters };
    SecretProviderClass::new(metadata(secret.name), spec)
}
