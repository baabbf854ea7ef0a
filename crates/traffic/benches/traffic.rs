//! How fast traffic is made: messages a second on one thread, bytes and the fold included and apart.
//!
//! Prints one JSON document. `cargo bench -p traffic`; the bar is 50,000 messages a second.

use std::process::ExitCode;
use std::time::Instant;

use traffic::{Config, Expected, Mix, Schemas, Traffic};

const MESSAGES: usize = 500_000;
const BAR: f64 = 50_000.0;

#[expect(clippy::print_stdout, reason = "a plain program, whose answer this is")]
fn main() -> ExitCode {
    let config = Config { seed: 1, keys: 10_000, partitions: 4, generation: 0, mix: Mix::default() };
    let ids = |_| Schemas { value: 1, key: 2, odd_value: 3 };
    let rate = |started: Instant| MESSAGES as f64 / started.elapsed().as_secs_f64();

    let started = Instant::now();
    let bytes: usize = Traffic::new(&config, ids)
        .take(MESSAGES)
        .map(|message| message.key.len() + message.value.map_or(0, |value| value.len()))
        .sum();
    let made = rate(started);

    let started = Instant::now();
    let mut expected = Expected::default();
    Traffic::new(&config, ids).take(MESSAGES).for_each(|message| expected.take(&message));
    let folded = rate(started);
    println!(
        r#"{{"messages":{MESSAGES},"mean_bytes":{},"made_per_second":{made:.0},"made_and_folded_per_second":{folded:.0},"bar":{BAR}}}"#,
        bytes / MESSAGES
    );
    if made >= BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
