//! How long `synth diff` takes as a whole process to compare two templates, and what it uses.
//!
//! Two pairs: one of 130 kB, made of the production environment's own resources, with seven changes; and one of 500 resources
//! with fifty. Runs the release binary again and again and prints one JSON document.
//! `cargo bench -p synth --bench diff`; the number of runs can be given: `cargo bench -p synth --bench diff -- 500`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Map, Value, json};

/// Runs that are measured when no number is given.
const RUNS: usize = 200;
const WARM_UP: usize = 10;
/// Bytes of the first pair's templates.
const BYTES: usize = 130_000;
const RESOURCES: usize = 500;

fn main() -> ExitCode {
    let runs = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(RUNS);
    let printed = report(runs).and_then(|report| writeln!(io::stdout(), "{report:#}"));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(runs: usize) -> io::Result<Value> {
    let folder = tempfile::tempdir()?;
    let real = real_resources(folder.path())?;
    let mut before = Map::new();
    let mut bytes = 0;
    'enough: for round in 0.. {
        for (logical_id, resource) in &real {
            if bytes >= BYTES {
                break 'enough;
            }
            bytes += resource.to_string().len() + logical_id.len();
            before.insert(format!("{logical_id}{round}"), resource.clone());
        }
    }
    let large = measured(folder.path(), "130 kB, 7 changes", before, 7, runs)?;
    let many = (0..RESOURCES).map(|number| {
        let properties = json!({"QueueName": format!("queue-{number}"), "VisibilityTimeout": number, "Tags": [{"Key": "a", "Value": "b"}]});
        (format!("Queue{number}"), json!({"Type": "AWS::SQS::Queue", "Properties": properties}))
    });
    let many = measured(folder.path(), "500 resources, 50 changes", many.collect(), 50, runs)?;
    Ok(json!([large, many]))
}

/// The resources of the production environment's primary region.
fn real_resources(folder: &Path) -> io::Result<Map<String, Value>> {
    let out = folder.join("synthesized");
    let mut command = synth();
    let status = command.args(["synth", "--env", "production", "--quiet", "--out"]).arg(&out).stdout(Stdio::null());
    if !status.status()?.success() {
        return Err(io::Error::other("the production environment can't be synthesized"));
    }
    let mut files: Vec<_> = fs::read_dir(out.join("production/us-west-2"))?.collect::<io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut resources = Map::new();
    for file in files.iter().filter(|file| file.path().extension().is_some_and(|extension| extension == "json")) {
        let template: Value = serde_json::from_slice(&fs::read(file.path())?)?;
        resources
            .extend(template["Resources"].as_object().into_iter().flatten().map(|(id, one)| (id.clone(), one.clone())));
    }
    Ok(resources)
}

fn measured(folder: &Path, what: &str, before: Map<String, Value>, changes: usize, runs: usize) -> io::Result<Value> {
    let mut after = before.clone();
    let step = after.len() / changes;
    for resource in after.values_mut().step_by(step.max(1)).take(changes) {
        resource["Properties"]["Changed"] = json!("by the benchmark");
    }
    let bytes = [("before.json", before), ("after.json", after)].map(|(name, resources)| {
        let text = json!({"Resources": resources}).to_string();
        fs::write(folder.join(name), &text).map(|()| text.len())
    });
    let bytes = bytes.into_iter().collect::<io::Result<Vec<usize>>>()?;
    let run = || -> io::Result<()> {
        let mut command = synth();
        let code = command.args(["diff", "--from", "before.json", "--to", "after.json"]).current_dir(folder);
        let code = code.stdout(Stdio::null()).status()?.code();
        if matches!(code, Some(2..=4)) {
            Ok(())
        } else {
            Err(io::Error::other(format!("`synth diff` ended with {code:?}")))
        }
    };
    for _ in 0..WARM_UP {
        run()?;
    }
    let mut walls = Vec::with_capacity(runs);
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        run()?;
        walls.push(started.elapsed());
    }
    walls.sort();
    let percentile = |percent: usize| millis(walls[(walls.len() * percent).div_ceil(100).clamp(1, walls.len()) - 1]);
    Ok(json!({
        "pair": what,
        "bytes": bytes,
        "runs": walls.len(),
        "wall_ms": { "p50": percentile(50), "p99": percentile(99) },
        "peak_rss_mib": (getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() as f64 / 102.4).round() / 10.0,
    }))
}

fn synth() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("TANDEM_ENV");
    command
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
