//! How fast traffic is made on one thread, alone and with the fold of what it means.
//!
//! Prints one JSON document; `cargo bench -p traffic`. Counted is processor time, so that other work on the machine doesn't
//! count. The bar is 50,000 messages a second.

use std::process::ExitCode;

use nix::time::{ClockId, clock_gettime};
use traffic::{Config, Expected, Mix, Schemas, Traffic};

const MESSAGES: usize = 300_000;
const BAR: f64 = 50_000.0;

#[expect(clippy::print_stdout, reason = "a plain program, whose answer this is")]
fn main() -> ExitCode {
    let config = Config { seed: 1, keys: 10_000, partitions: 4, generation: 0, mix: Mix::default() };
    let ids = |_| Schemas { value: 1, key: 2, odd_value: 3 };
    let rate = |started: f64| MESSAGES as f64 / (processor_seconds() - started);

    let started = processor_seconds();
    let bytes: usize = Traffic::new(&config, ids)
        .take(MESSAGES)
        .map(|message| message.key.len() + message.value.map_or(0, |value| value.len()))
        .sum();
    let made = rate(started);

    let started = processor_seconds();
    let mut expected = Expected::default();
    Traffic::new(&config, ids).take(MESSAGES).for_each(|message| expected.take(&message));
    let folded = rate(started);
    println!(
        r#"{{"messages":{MESSAGES},"mean_bytes":{},"made_per_second":{made:.0},"made_and_folded_per_second":{folded:.0},"bar":{BAR}}}"#,
        bytes / MESSAGES
    );
    if made >= BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every Unix has this clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}
