//! `secrets`: passwords and keys, declared once, in the home region, with a replica in each other region.
//!
//! What only others know (the passwords for Kafka) is declared without a value: somebody writes it once, and no
//! deployment ever reads or overwrites it.

use cfn::secretsmanager::secret::{GenerateSecretString, ReplicaRegion};
use cfn::{Arn, Value, kms, secretsmanager};
use contracts::{Bound, KafkaSecurity, KeyNeed, Need, resource};

use crate::constructs::policy::{Statement, statements_of};
use crate::constructs::{Scope, key, stateful};
use crate::environment::{Environment, KafkaCluster};
use crate::system::StackInstance;

/// The secret that HS256 tokens are signed with; its name without system and environment.
const JWT: &str = "jwt";

/// The stack of the home region.
pub(crate) fn stack(environment: &Environment) -> StackInstance {
    let home = environment.primary();
    let mut scope = Scope::new(environment, home, "secrets", "Secrets");
    let key = key::of_region(&mut scope, "KeyArn", home);
    let peers = key::of_peers(&mut scope);
    let replicas: Vec<ReplicaRegion> =
        peers.iter().map(|(region, key)| ReplicaRegion::new(region.as_str()).kms_key_id(key)).collect();
    let declare = |name: &str, description: &str| {
        secretsmanager::Secret::new()
            .name(name)
            .description(description)
            .kms_key_id(&key)
            .replica_regions(replicas.clone())
    };
    let generated = GenerateSecretString::new()
        .secret_string_template("{}")
        .generate_string_key("key")
        // 64 letters and digits hold more than the 256 bits that HS256 can use.
        .password_length(64)
        .exclude_punctuation(true);
    let jwt = declare(&environment.name(JWT), "signs and checks HS256 tokens of the API's callers");
    scope.add("Jwt", stateful(jwt.generate_secret_string(generated)));
    for (logical_id, name, description) in written_by_people(environment) {
        scope.add(logical_id, stateful(declare(name, description)));
    }
    scope.finish()
}

/// Reading the secret of HS256 tokens in the stack's own region.
pub(crate) fn read_jwt(
    scope: &Scope<'_>,
    key: &Value<Arn<kms::Key>>,
) -> Bound<Value<String>, resource::Secret, resource::Read> {
    let name = scope.environment.name(JWT);
    Bound::new(JWT, name.as_str().into(), vec![arn(scope, &name)]).encrypted_by(key.clone().into())
}

/// What mounting Kafka's passwords into the consumer's pods takes: the driver reads them with the pod's role.
pub(crate) fn read_for_pods(scope: &Scope<'_>, key: &Value<Arn<kms::Key>>) -> Vec<Statement> {
    let names: Vec<&str> = written_by_people(scope.environment).map(|(_, name, _)| name).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let need = Need {
        field: "mounted_secrets",
        verb: "mounts",
        flow: contracts::Flow::In,
        kind: "secret",
        target: names.join("` and `"),
        regions: Vec::new(),
        actions: &["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
        resources: names.iter().map(|name| arn(scope, name)).collect(),
        on_any_because: None,
        keys: vec![KeyNeed {
            key: key.clone().into(),
            actions: &["kms:Decrypt"],
            via_service: "secretsmanager",
            region: None,
        }],
    };
    statements_of(contracts::CdcConsumer::NAME, &[need])
}

/// Secrets whose value people write: logical id, name, what for.
fn written_by_people(environment: &Environment) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
    let (kafka, registry) = match &environment.kafka().cluster {
        KafkaCluster::Platform => (None, None),
        KafkaCluster::Existing { security, private_ca, credentials_secret, schema_registry_secret, .. } => {
            let held = match (security, private_ca) {
                (KafkaSecurity::Mtls, false) => "`certificate` and `key` for the Kafka brokers",
                (KafkaSecurity::Mtls, true) => "`certificate` and `key` for the Kafka brokers, and their `ca`",
                (_, false) => "`username` and `password` for the Kafka brokers",
                (_, true) => "`username` and `password` for the Kafka brokers, and their `ca`",
            };
            (Some((credentials_secret.as_str(), held)), schema_registry_secret.as_deref())
        }
    };
    let kafka = kafka.map(|(name, held)| ("KafkaCredentials", name, held));
    let registry =
        registry.map(|name| ("SchemaRegistryCredentials", name, "`username` and `password` for the Schema Registry"));
    kafka.into_iter().chain(registry)
}

/// The ARN of a secret in the stack's own region: Secrets Manager puts a hyphen and six characters behind the name.
fn arn(scope: &Scope<'_>, name: &str) -> Value<String> {
    scope.arn_in(scope.region, "secretsmanager", &format!("secret:{name}-??????"))
}
