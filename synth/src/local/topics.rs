//! Making topics on the local broker.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::problem::Problem;
use super::state::Topic;

/// Longest wait for one answer of the broker.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Makes those of `topics` that aren't there and counts them; a broker that just started is given until `limit`.
pub(crate) async fn ensure(brokers: &str, topics: &[Topic], limit: Duration) -> Result<usize, Problem> {
    if topics.is_empty() {
        return Ok(0);
    }
    let deadline = Instant::now() + limit;
    loop {
        match attempt(brokers, topics).await {
            Ok(count) => return Ok(count),
            Err(problem) if Instant::now() >= deadline => return Err(problem),
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}

async fn attempt(brokers: &str, topics: &[Topic]) -> Result<usize, Problem> {
    let refused = |action: String, said: String| Problem::BrokerRefused { brokers: brokers.to_owned(), action, said };
    let failed = |error: KafkaError| refused("create topics".to_owned(), error.to_string());
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("socket.timeout.ms", "5000")
        // The client's own complaints about a broker that isn't up yet say nothing that the error doesn't.
        .set("log_level", "0")
        .create()
        .map_err(failed)?;
    let mut orders = Vec::new();
    for topic in topics {
        let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
        orders.push(NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(1)));
    }
    let options = AdminOptions::new().request_timeout(Some(REQUEST_LIMIT)).operation_timeout(Some(REQUEST_LIMIT));
    let mut made = 0;
    for result in admin.create_topics(&orders, &options).await.map_err(failed)? {
        match result {
            Ok(_) => made += 1,
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(refused(format!("create topic `{name}`"), code.to_string())),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broker_that_is_not_there_is_named() {
        // A port that was free a moment ago, with nobody behind it.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let brokers = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let topics = [Topic { name: "a".to_owned(), partitions: 1 }];
        let problem = ensure(&brokers, &topics, Duration::ZERO).await.expect_err("nobody answers");
        assert!(
            problem.to_string().starts_with(&format!("the Kafka broker at {brokers} refuses to create")),
            "{problem}"
        );
    }
}
