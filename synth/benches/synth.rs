//! How long the tool takes as a whole process to synthesize and check all environments, and what it uses.
//!
//! Runs the release binary `synth synth --env all --check` again and again and prints one JSON document.
//! Processor time and memory are the kernel's own figures of the ended child. `cargo bench -p synth`; the number of
//! runs can be given: `cargo bench -p synth -- 500`.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};

/// Runs that are measured when no number is given.
const RUNS: usize = 200;
/// Runs before, so that the files are in the page cache and the output exists.
const WARM_UP: usize = 10;

fn main() -> ExitCode {
    let runs = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(RUNS);
    match measure(runs).and_then(|report| writeln!(io::stdout(), "{report}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(runs: usize) -> io::Result<String> {
    let out = tempfile::tempdir()?;
    for _ in 0..WARM_UP {
        run(out.path())?;
    }
    let mut walls = Vec::with_capacity(runs);
    let mut processors = Vec::with_capacity(runs);
    for _ in 0..runs.max(1) {
        let before = processor_time(&children()?);
        let started = Instant::now();
        run(out.path())?;
        walls.push(started.elapsed());
        processors.push(processor_time(&children()?).saturating_sub(before));
    }
    walls.sort();
    processors.sort();
    let document = serde_json::json!({
        "command": "synth synth --env all --check",
        "runs": walls.len(),
        "wall_ms": { "p50": millis(percentile(&walls, 50)), "p99": millis(percentile(&walls, 99)) },
        "cpu_ms": { "p50": millis(percentile(&processors, 50)), "p99": millis(percentile(&processors, 99)) },
        "peak_rss_mib": tenths(children()?.max_rss() as f64 / 1024.0),
    });
    serde_json::to_string_pretty(&document).map_err(io::Error::other)
}

fn run(out: &Path) -> io::Result<()> {
    let status = Command::new(env!("CARGO_BIN_EXE_synth"))
        .args(["synth", "--env", "all", "--check", "--quiet", "--out"])
        .arg(out)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("TANDEM_ENV")
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("`synth synth` ended with {status}"))) }
}

/// What all ended children used so far; the peak is that of the largest, and all are the same program.
fn children() -> io::Result<Usage> {
    Ok(getrusage(UsageWho::RUSAGE_CHILDREN)?)
}

fn processor_time(usage: &Usage) -> Duration {
    let [user, system] = [usage.user_time(), usage.system_time()];
    let micros = (user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec();
    Duration::from_micros(micros.try_into().unwrap_or(0))
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).clamp(1, sorted.len()) - 1]
}

fn millis(duration: Duration) -> f64 {
    tenths(duration.as_secs_f64() * 1000.0)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
