//! The consumer from a real broker to its sink, as a process of its own; prints one JSON document.
//!
//! `cargo bench -p consumer --bench throughput` produces framed change records to a broker on this machine, then starts a member
//! of a new group that applies all of them: to a sink that only counts, which shows what the consumer itself costs (what its
//! Kafka client costs alone is measured beside it, because machines differ), and, if there is an endpoint that speaks DynamoDB, to its tables, with what the endpoint takes without a consumer beside it.
//!
//! The broker is that of the local platform: `synth deploy --env sandbox` installs it, or `TANDEM_BROKER` names another `tansu`.
//! The endpoint is `dynoxide` in the cache's `tools/bin` (`cargo install dynoxide-rs@3.2.0 --no-default-features --features
//! native-sqlite,http-server,cli --root <cache>/tools`), or what `TANDEM_DYNOXIDE` names.
//! `--messages`, `--rounds` and `--writes` change how much is measured.

#[path = "throughput/broker.rs"]
mod broker;
#[path = "throughput/endpoint.rs"]
mod endpoint;
#[path = "throughput/feed.rs"]
mod feed;
#[path = "throughput/member.rs"]
mod member;
#[path = "throughput/server.rs"]
mod server;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An error that ends the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

/// What was asked for.
struct Options {
    messages: usize,
    writes: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == member::ROLE => member::main(rest),
        _ => options(&arguments).and_then(|options| report(&options)),
    };
    let printed = outcome.and_then(|report| Ok(writeln!(io::stdout(), "{report:#}")?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the benchmark failed: {}", events::dead_letter::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options { messages: 1_000_000, writes: 60_000, rounds: 3 };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("`{}` lacks a value", pair[0]).into()) };
        let number = value.parse().ok().filter(|number| *number > 0);
        match (name.as_str(), number) {
            ("--messages", Some(number)) => options.messages = number,
            ("--writes", Some(number)) => options.writes = number,
            ("--rounds", Some(number)) => options.rounds = number,
            _ => {
                return Err(format!(
                    "`{name} {value}` isn't understood: --messages, --writes or --rounds, and a number"
                )
                .into());
            }
        }
    }
    Ok(options)
}

#[tokio::main]
async fn report(options: &Options) -> Result<Value, Failure> {
    let registry = feed::registry().await?;
    let counting = {
        let broker = broker::start().await?;
        let fed = feed::produce(&broker, options.messages, 1).await?;
        let mut rounds = Vec::new();
        for round in 0..options.rounds {
            let group = format!("count-{round}");
            let alone = member::read_only(&broker, &registry, &format!("read-{round}"), options.messages).await?;
            let mut counted = member::run(&broker, &registry, &group, options.messages, None).await?;
            counted["client_alone"] = alone;
            rounds.push(counted);
        }
        rounds.sort_by(|one, other| {
            one["messages_per_second"].as_f64().partial_cmp(&other["messages_per_second"].as_f64()).expect("no NaN")
        });
        json!({ "fed": fed, "median": rounds[rounds.len() / 2], "rounds": rounds })
    };
    Ok(json!({ "counting_sink": counting, "table": table(options, &registry).await? }))
}

async fn table(options: &Options, registry: &str) -> Result<Value, Failure> {
    let Some(program) = endpoint::find() else {
        return Ok(json!("SKIPPED: there is no `dynoxide`; the head of this benchmark says how to install it"));
    };
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let endpoint = endpoint::start(&program).await?;
        let alone = endpoint::limit(&endpoint, options.writes).await?;
        let broker = broker::start().await?;
        feed::produce(&broker, options.writes, 1).await?;
        let group = format!("table-{round}");
        let through = member::run(&broker, registry, &group, options.writes, Some(&endpoint)).await?;
        let share = through["messages_per_second"].as_f64().unwrap_or_default() / alone;
        rounds.push(json!({ "endpoint_alone_per_second": alone.round(), "consumer": through, "share": share }));
    }
    rounds.sort_by(|one, other| one["share"].as_f64().partial_cmp(&other["share"].as_f64()).expect("no NaN"));
    Ok(json!({ "median": rounds[rounds.len() / 2], "rounds": rounds }))
}
