//! How long the tool takes as a whole process to synthesize and check, and what it uses.
//!
//! Runs the release binary again and again and prints one JSON document: one environment of both regions with every
//! rule (`synth synth --env production --check`), all environments, and every rule over all environments without
//! writing (`synth check`). Processor time and memory are the kernel's own figures of the ended children.
//! `cargo bench -p synth`; the number of runs can be given: `cargo bench -p synth -- 500`.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde_json::Value;

/// Runs that are measured when no number is given.
const RUNS: usize = 200;
/// Runs before, so that the files are in the page cache and the output exists.
const WARM_UP: usize = 10;

/// What is measured.
const CASES: [&[&str]; 3] =
    [&["synth", "--env", "production", "--check"], &["synth", "--env", "all", "--check"], &["check"]];

/// Says to a process of this benchmark that it measures one case: memory is known for all children of a process only,
/// so each case has a process of its own.
const CASE: &str = "TANDEM_BENCHMARK_CASE";

fn main() -> ExitCode {
    let runs = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(RUNS);
    let case = std::env::var(CASE).ok().and_then(|case| CASES.get(case.parse::<usize>().ok()?));
    let report = match case {
        Some(arguments) => measure(arguments, runs),
        None => (0..CASES.len()).map(|case| in_own_process(case, runs)).collect::<io::Result<Value>>(),
    };
    let printed = report.and_then(|report| {
        let text = serde_json::to_string_pretty(&report).map_err(io::Error::other)?;
        writeln!(io::stdout(), "{text}")
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn in_own_process(case: usize, runs: usize) -> io::Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .arg(runs.to_string())
        .env(CASE, case.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("the process of a case ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

fn measure(arguments: &[&str], runs: usize) -> io::Result<Value> {
    let out = tempfile::tempdir()?;
    for _ in 0..WARM_UP {
        run(arguments, out.path())?;
    }
    let mut walls = Vec::with_capacity(runs);
    let mut processors = Vec::with_capacity(runs);
    for _ in 0..runs.max(1) {
        let before = processor_time(&children()?);
        let started = Instant::now();
        run(arguments, out.path())?;
        walls.push(started.elapsed());
        processors.push(processor_time(&children()?).saturating_sub(before));
    }
    walls.sort();
    processors.sort();
    Ok(serde_json::json!({
        "command": format!("synth {}", arguments.join(" ")),
        "runs": walls.len(),
        "wall_ms": { "p50": millis(percentile(&walls, 50)), "p99": millis(percentile(&walls, 99)) },
        "cpu_ms": { "p50": millis(percentile(&processors, 50)), "p99": millis(percentile(&processors, 99)) },
        "peak_rss_mib": tenths(children()?.max_rss() as f64 / 1024.0),
    }))
}

fn run(arguments: &[&str], out: &Path) -> io::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.args(arguments).arg("--quiet");
    if arguments.contains(&"synth") {
        command.arg("--out").arg(out);
    }
    let status =
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("TANDEM_ENV").stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("`synth` ended with {status}"))) }
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
