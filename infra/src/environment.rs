//! Environments: one TOML file each says where the system runs and how large, how long and for whom.
//!
//! [`Environment::parse`] is pure. It reports every mistake of a file at once, with line and repair, and checks the
//! relations between keys, so that everything deeper works with values that fit together. It doesn't ask whether
//! what a file names (an account, a secret, a broker) exists.

mod access;
mod functions;
mod geo;
mod kafka;
mod mistake;
mod network;
mod reader;
mod regions;
mod retention;
mod rollout;
mod rule;
mod surroundings;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use contracts::Region;

pub use access::{ApiSettings, AuthoritySettings, GitHubSettings, OidcProvider};
pub use functions::{
    FunctionSettings, Functions, HealthCheckerSettings, LogLevel, Program, PublishSettings, StreamFunction,
    StreamSettings, TransformerSettings,
};
pub use geo::GeoSource;
pub use kafka::{ConsumerSettings, KafkaCluster, KafkaSettings};
pub use mistake::Mistake;
pub use network::{Cidr, ClusterSettings, Nat, NetworkSettings, NodeGroupSettings};
pub(crate) use regions::ZONES;
pub use regions::{RegionSettings, Role};
pub use retention::{ArchiveSettings, LogSettings, QueueSettings, TableSettings};
pub use rollout::RolloutSettings;
pub use surroundings::{AlarmSettings, DomainSettings, LocalSettings};
pub use units::{AccountId, Days, MemorySize};

use reader::{Reader, Section};
use rule::{one_of, text};

/// The system's name, the first part of every resource's name.
pub const SYSTEM: &str = "tandem";

/// Longest name of an environment: leaves room for the rest of a bucket's name, which may have 63 characters.
const LONGEST_NAME: usize = 16;

/// What an environment is deployed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An AWS account.
    Aws,
    /// The local platform: the real programs on an emulator and a broker on this machine.
    Local,
}

impl Target {
    /// The word in the environment file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Local => "local",
        }
    }
}

/// A checked environment.
///
/// Invariant: there are two regions or more, the first is the primary and the others are not.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    file: String,
    account_line: usize,
    name: String,
    target: Target,
    account: AccountId,
    regions: Vec<RegionSettings>,
    logs: LogSettings,
    archive: ArchiveSettings,
    queues: QueueSettings,
    tables: TableSettings,
    functions: Functions,
    api: ApiSettings,
    authority: AuthoritySettings,
    network: NetworkSettings,
    cluster: ClusterSettings,
    github: Option<GitHubSettings>,
    kafka: KafkaSettings,
    consumer: ConsumerSettings,
    alarms: AlarmSettings,
    domain: Option<DomainSettings>,
    rollout: RolloutSettings,
    local: LocalSettings,
    tags: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the text of an environment file; `file_name` is named in mistakes, and its stem is the environment's name.
    ///
    /// # Errors
    /// Every mistake, in the order of lines; at least one.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let reader = Reader::new(file_name, text);
        let environment = reader.read(|root| Self::read(file_name, root));
        let mistakes = reader.into_mistakes();
        match environment {
            Some(environment) if mistakes.is_empty() => Ok(environment),
            _ => Err(mistakes),
        }
    }

    /// Whether it can be deployed as it is.
    ///
    /// # Errors
    /// When the account is still the placeholder, although the target is AWS.
    pub fn deployable(&self) -> Result<(), Mistake> {
        if self.target == Target::Local || !self.account.is_placeholder() {
            return Ok(());
        }
        let problem = format!("`account` is \"{}\", which only stands for an account", self.account);
        let hint = format!("write the 12 digits of the account that `{}` is deployed to", self.name);
        Err(Mistake::new(&self.file, self.account_line, "account", problem, hint))
    }

    /// The name of a resource: `tandem-<environment>-<thing>`.
    pub fn name(&self, thing: &str) -> String {
        format!("{SYSTEM}-{}-{thing}", self.name)
    }

    /// The environment's own name, such as `sandbox`.
    pub fn environment_name(&self) -> &str {
        &self.name
    }

    /// What it is deployed to.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Whether it is deployed to the local platform.
    pub fn is_local(&self) -> bool {
        self.target == Target::Local
    }

    /// The account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// All regions, the primary first.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().map(|settings| &settings.region)
    }

    /// All regions with role and wave, the primary first.
    pub fn region_settings(&self) -> &[RegionSettings] {
        &self.regions
    }

    /// The home region.
    pub fn primary(&self) -> &Region {
        &self.regions[0].region
    }

    /// Whether `region` is the home region.
    pub fn is_primary(&self, region: &Region) -> bool {
        self.primary() == region
    }

    /// All regions but the home region, in the order of the file; at least one.
    pub fn secondaries(&self) -> impl Iterator<Item = &Region> {
        self.regions().skip(1)
    }

    /// All regions but `region`, the primary first.
    pub fn peers<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Region> {
        self.regions().filter(move |peer| *peer != region)
    }

    /// `region` and then all others, the primary before the rest.
    pub fn from_region<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Region> {
        std::iter::once(region).chain(self.peers(region))
    }

    /// When `region` is deployed: lower waves first. `None` when it is no region of this environment.
    pub fn wave(&self, region: &Region) -> Option<u32> {
        self.regions.iter().find(|settings| settings.region == *region).map(|settings| settings.wave)
    }

    /// How long logs are kept.
    pub fn logs(&self) -> &LogSettings {
        &self.logs
    }

    /// The buses' archives.
    pub fn archive(&self) -> &ArchiveSettings {
        &self.archive
    }

    /// The queues.
    pub fn queues(&self) -> &QueueSettings {
        &self.queues
    }

    /// The entity tables.
    pub fn tables(&self) -> &TableSettings {
        &self.tables
    }

    /// Settings of the functions.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// What every function has, of this one.
    pub fn function(&self, program: Program) -> &FunctionSettings {
        self.functions.of(program)
    }

    /// The HTTP API.
    pub fn api(&self) -> &ApiSettings {
        &self.api
    }

    /// The table of ownership.
    pub fn authority(&self) -> &AuthoritySettings {
        &self.authority
    }

    /// The network of each region.
    pub fn network(&self) -> &NetworkSettings {
        &self.network
    }

    /// The Kubernetes cluster of each region.
    pub fn cluster(&self) -> &ClusterSettings {
        &self.cluster
    }

    /// Where GitHub Actions come from; none: nobody deploys from there.
    pub fn github(&self) -> Option<&GitHubSettings> {
        self.github.as_ref()
    }

    /// Settings of a region; none when it is no region of this environment.
    pub fn region(&self, region: &Region) -> Option<&RegionSettings> {
        self.regions.iter().find(|settings| settings.region == *region)
    }

    /// Kafka and the Schema Registry.
    pub fn kafka(&self) -> &KafkaSettings {
        &self.kafka
    }

    /// The CDC consumer.
    pub fn consumer(&self) -> &ConsumerSettings {
        &self.consumer
    }

    /// Who is told of alarms.
    pub fn alarms(&self) -> &AlarmSettings {
        &self.alarms
    }

    /// The system's own domain name, if it has one.
    pub fn domain(&self) -> Option<&DomainSettings> {
        self.domain.as_ref()
    }

    /// How a release goes from wave to wave.
    pub fn rollout(&self) -> &RolloutSettings {
        &self.rollout
    }

    /// The local platform's fixed ports.
    pub fn local(&self) -> &LocalSettings {
        &self.local
    }

    /// Tags of every resource: the file's own, `Environment` and `System`.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    fn read(file_name: &str, root: &mut Section<'_>) -> Option<Self> {
        let name = root.required("name", &environment_name());
        let target = root.required("target", &one_of(&[("aws", Target::Aws), ("local", Target::Local)]));
        let account = root.required("account", &account());
        let regions = regions::read(root);
        let logs = root.section("logs", LogSettings::read);
        let archive = root.section("archive", ArchiveSettings::read);
        let queues = root.section("queues", QueueSettings::read);
        let tables = root.section("tables", |section| TableSettings::read(section, target));
        let functions = root.section("functions", |section| functions::read(section, target));
        let api = root.section("api", ApiSettings::read);
        let authority = root.section("authority", |section| AuthoritySettings::read(section, regions.as_deref()));
        let network = root.section("network", NetworkSettings::read);
        let cluster = root.section("cluster", |section| ClusterSettings::read(section, target));
        let github = root.optional_section("github", GitHubSettings::read);
        let kafka = root.section("kafka", |section| KafkaSettings::read(section, target));
        let consumer = root.section("consumer", ConsumerSettings::read);
        let alarms = root.section("alarms", |section| AlarmSettings::read(section, target));
        let domain = root.optional_section("domain", DomainSettings::read);
        let rollout = root.optional_section("rollout", RolloutSettings::read);
        let local = root.optional_section("local", LocalSettings::read);
        let tags = root.section("tags", surroundings::tags);

        name_matches_file(root, name.as_deref(), file_name);
        account_matches_target(root, account.as_ref(), target);
        nothing_local_on_aws(root, target);
        tombstones_outlive_messages(root, consumer.as_ref(), queues.as_ref(), kafka.as_ref());
        published_events_outlive_messages(root, functions.as_ref(), queues.as_ref());

        let name = name?;
        let mut tags = tags?;
        tags.insert("Environment".to_owned(), name.clone());
        tags.insert("System".to_owned(), SYSTEM.to_owned());
        Some(Self {
            file: file_name.to_owned(),
            account_line: root.line_of("account"),
            name,
            target: target?,
            account: account?,
            regions: regions?,
            logs: logs?,
            archive: archive?,
            queues: queues?,
            tables: tables?,
            functions: functions?,
            api: api?,
            authority: authority?,
            network: network?,
            cluster: cluster?,
            github: github?,
            kafka: kafka?,
            consumer: consumer?,
            alarms: alarms?,
            domain: domain?,
            rollout: rollout?.unwrap_or_default(),
            local: local?.unwrap_or_default(),
            tags,
        })
    }
}

/// The name of an environment stands in its file's name too, so that nobody deploys a copy under the old name.
fn name_matches_file(root: &Section<'_>, name: Option<&str>, file_name: &str) {
    let stem = Path::new(file_name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if let Some(name) = name.filter(|name| *name != stem) {
        let hint = format!("write \"{stem}\", or rename the file to `{name}.toml`");
        root.mistake("name", "which is not the file's name", &hint);
    }
}

/// The emulator knows one account only; another one would give names that point nowhere.
fn account_matches_target(root: &Section<'_>, account: Option<&AccountId>, target: Option<Target>) {
    if target == Some(Target::Local) && account.is_some_and(|account| !account.is_placeholder()) {
        let hint = format!("write \"{}\"", AccountId::PLACEHOLDER);
        root.mistake("account", "which is not the local platform's account", &hint);
    }
}

fn nothing_local_on_aws(root: &Section<'_>, target: Option<Target>) {
    if target == Some(Target::Aws) && root.has("local") {
        let problem = "the section `[local]` has no meaning for an environment on AWS".to_owned();
        root.mistake_at("local", problem, "remove it, or set `target = \"local\"`");
    }
}

/// A change that is delivered late must still meet the tombstone of its row, or it would bring the row back.
fn tombstones_outlive_messages(
    root: &Section<'_>,
    consumer: Option<&ConsumerSettings>,
    queues: Option<&QueueSettings>,
    kafka: Option<&KafkaSettings>,
) {
    let (Some(consumer), Some(section)) = (consumer, root.inner("consumer")) else {
        return;
    };
    let messages = [
        ("queues.retention", queues.map(|queues| queues.retention)),
        ("kafka.retention", kafka.map(|kafka| kafka.retention.duration())),
    ];
    for (key, retention) in messages {
        let Some(retention) = retention.filter(|retention| consumer.tombstone_retention.duration() < *retention) else {
            continue;
        };
        let least = contracts::duration::render(retention);
        let problem = format!("which is less than `{key}`: a late change could bring a deleted row back");
        section.mistake("tombstone_retention", &problem, &format!("write at least \"{least}\", or lower `{key}`"));
    }
}

/// How long EventBridge tries to deliver an event before it goes to the queue of undelivered ones, where its retention
/// only begins (EventBridge user guide, "How EventBridge retries delivering events", read 2026-11).
const DELIVERY_RETRIES: Duration = Duration::from_secs(86_400);

/// A message that is delivered again must still meet the record of its event, or the event would be published again.
fn published_events_outlive_messages(
    root: &Section<'_>,
    functions: Option<&Functions>,
    queues: Option<&QueueSettings>,
) {
    let (Some(functions), Some(queues)) = (functions, queues) else { return };
    let section = root.inner("functions").and_then(|functions| functions.inner(Program::EventTransformer.name()));
    let Some(section) = section else { return };
    let least = queues.retention + DELIVERY_RETRIES;
    if functions.event_transformer.idempotency_retention < least {
        let least = contracts::duration::render(least);
        let problem = "which is less than `queues.retention` and the day for which EventBridge retries before: a late \
            message would be published again";
        let hint = format!("write at least \"{least}\", or lower `queues.retention`");
        section.mistake("idempotency_retention", problem, &hint);
    }
}

fn environment_name() -> rule::Rule<String> {
    let hint = format!("write at most {LONGEST_NAME} lower-case letters and digits, beginning with a letter");
    text(hint, |text| {
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if begins_well && text.len() <= LONGEST_NAME && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("not a name for an environment".to_owned())
        }
    })
}

fn account() -> rule::Rule<AccountId> {
    let hint = format!("write the account's 12 digits in quotes; \"{}\" stands for none yet", AccountId::PLACEHOLDER);
    text(hint, |text| AccountId::parse(text).ok_or_else(|| "not an account id".to_owned()))
}
