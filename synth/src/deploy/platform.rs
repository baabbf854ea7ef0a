//! What a deployment does on the local platform besides the stacks: topics, and the consumer under its own role.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::CdcConsumerSettings;
use events::Entity;
use hyper::Method;
use infra::KafkaEndpoints;
use infra::environment::Environment;
use serde::Deserialize;

use super::inputs::Outputs;
use super::system::StackKey;
use crate::error::Error;
use crate::local::{ConsumerChange, ConsumerProcess, Platform, http};

/// The stack and its output that name the consumer's role.
const CONSUMER_ROLE: (&str, &str) = ("events", "ConsumerRoleArn");

/// The longest that the emulator may take to say what it can do.
const TYPES_LIMIT: Duration = Duration::from_secs(10);

/// The resource types that an emulator knows.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ResourceTypes {
    /// Types that are really made.
    provisioned: BTreeSet<String>,
    /// Types that are accepted and do nothing.
    placeholders: BTreeSet<String>,
}

impl ResourceTypes {
    /// Every type that a template may hold.
    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        self.provisioned.union(&self.placeholders).cloned().collect()
    }

    /// Whether the type is accepted and does nothing.
    pub(crate) fn is_placeholder(&self, resource_type: &str) -> bool {
        self.placeholders.contains(resource_type)
    }
}

/// The resource types that the platform's emulator knows; none when it is another emulator, which can't be asked.
///
/// # Errors
/// No answer, or one that can't be understood.
pub(crate) async fn resource_types(endpoint_url: &str) -> Result<Option<ResourceTypes>, Error> {
    let url = format!("{}/_local/resource-types", endpoint_url.trim_end_matches('/'));
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::remote(format!("the emulator does not say at {url} which resource types it knows"))
            .caused_by(source)
            .hint("see `synth local logs emulator`")
    };
    let answer = http::send(Method::GET, &url, None, Vec::new(), TYPES_LIMIT).await;
    let answer = answer.map_err(|error| failed(error.into()))?;
    if !answer.status.is_success() {
        return Ok(None);
    }
    serde_json::from_slice(&answer.body).map(Some).map_err(|error| failed(error.into()))
}

/// Makes the topics of the change feed and the one for what can't be applied.
pub(crate) async fn create_topics(platform: &Platform, environment: &Environment) -> Result<(), Error> {
    let partitions = environment.consumer().partitions;
    let dead_letters = CdcConsumerSettings::default().dead_letter_topic;
    let mut topics: Vec<(&str, u32)> = Entity::ALL.iter().map(|entity| (entity.topic(), partitions)).collect();
    topics.push((&dead_letters, 1));
    platform.create_topics(&topics).await
}

/// Keeps the consumer of the home region running, with the rights of its role and no others.
pub(crate) async fn run_consumer(
    platform: &Platform,
    environment: &Environment,
    checkout: &Path,
    executable: &Path,
    outputs: &Outputs,
) -> Result<ConsumerChange, Error> {
    let home = environment.primary();
    let (stack, output) = CONSUMER_ROLE;
    let stack = StackKey::new(stack, home.as_str());
    let role = outputs.get(&stack).and_then(|outputs| outputs.get(output));
    let role = role.ok_or_else(|| {
        Error::configuration(format!("{stack} has no output `{output}`, so the consumer has no role to run as"))
    })?;
    let endpoints = KafkaEndpoints {
        brokers: platform.kafka_brokers.clone(),
        schema_registry_url: platform.schema_registry_url.clone(),
    };
    let profile = write_profile(platform, environment, checkout, role)?.display().to_string();
    let mut variables = infra::consumer_environment(environment, home, &endpoints);
    variables.extend(BTreeMap::from([
        ("AWS_ENDPOINT_URL".to_owned(), platform.endpoint_url.clone()),
        ("AWS_PROFILE".to_owned(), PROFILE.to_owned()),
        ("AWS_CONFIG_FILE".to_owned(), profile.clone()),
        ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), format!("{profile}.none")),
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ("HTTP_PORT".to_owned(), platform.consumer_port.to_string()),
        ("RUST_LOG".to_owned(), std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned())),
    ]));
    platform
        .run_consumer(ConsumerProcess {
            region: home.to_string(),
            binary: executable.to_owned(),
            environment: variables,
            health_port: Some(platform.consumer_port),
        })
        .await
}

/// The profile under which the consumer finds its credentials.
const PROFILE: &str = "consumer";

/// Writes the AWS profile through which the consumer assumes its role by itself.
///
/// Credentials that were handed over would run out while the consumer runs, and would be others at each deployment, so
/// that an unchanged consumer would be replaced. The root keys in the file belong to the emulator and open nothing else.
fn write_profile(
    platform: &Platform,
    environment: &Environment,
    checkout: &Path,
    role: &str,
) -> Result<PathBuf, Error> {
    let folder = crate::local::state_root(checkout).join(environment.environment_name());
    let path = folder.join("consumer.aws");
    let region = environment.primary();
    let text = format!(
        "[profile {PROFILE}]\nrole_arn = {role}\nrole_session_name = consumer\nsource_profile = root\n\
         region = {region}\n\n[profile root]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        platform.root_access_key, platform.root_secret_key
    );
    let failed =
        |source: std::io::Error| Error::configuration(format!("{} can't be written", path.display())).caused_by(source);
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}
