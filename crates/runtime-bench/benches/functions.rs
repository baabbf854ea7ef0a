//! How the functions start and run, as whole programs against a small Runtime API; prints one JSON document.
//!
//! `cargo bench -p runtime-bench` builds them with the profile `lambda` first. `--programs <folder>` takes them from a folder
//! instead, `--only <text>` leaves out the cases whose name doesn't hold the text, and `--starts`, `--invocations` and
//! `--rounds` change how much is measured.
//! Of several rounds, each in a new process, the one with the median processor time is printed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use runtime_bench::aws_stub::AwsStub;
use runtime_bench::cases::{Bars, CASES, Case, Kind, Variables};
use runtime_bench::figures::{median, percentiles, rounded};
use runtime_bench::measure::{Run, Subject, run, side_by_side, starts};
use runtime_bench::process::{Cores, Program};
use runtime_bench::programs::{Programs, sizes};
use runtime_bench::{Error, figures};
use serde_json::{Map, Value, json};

/// Events before those that count.
const WARM_UP: usize = 200;

/// Programs that run at the same time to see how much the machine gives.
const SIDE_BY_SIDE: usize = 4;

/// What was asked for.
struct Options {
    programs: Option<PathBuf>,
    only: String,
    starts: usize,
    invocations: Option<usize>,
    rounds: usize,
}

fn main() -> ExitCode {
    let printed = options().and_then(|options| report(&options)).map(|report| writeln!(io::stdout(), "{report:#}"));
    match printed {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            say(&format!("the benchmark failed: {text}"));
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Error> {
    let mut options = Options { programs: None, only: String::new(), starts: 30, invocations: None, rounds: 3 };
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        // Cargo passes it to every benchmark.
        if option == "--bench" {
            continue;
        }
        let Some(value) = arguments.next() else { return Err(Error::Option { option }) };
        let number = value.parse::<usize>().ok().filter(|number| *number > 0);
        match (option.as_str(), number) {
            ("--programs", _) => options.programs = Some(value.into()),
            ("--only", _) => options.only = value,
            ("--starts", Some(number)) => options.starts = number,
            ("--invocations", Some(number)) => options.invocations = Some(number),
            ("--rounds", Some(number)) => options.rounds = number,
            _ => return Err(Error::Option { option }),
        }
    }
    Ok(options)
}

fn report(options: &Options) -> Result<Value, Error> {
    let programs = match &options.programs {
        Some(folder) => Programs::in_folder(folder)?,
        None => Programs::build()?,
    };
    let node = node();
    let cores = Cores::given()?;
    let mut measured = Map::new();
    for case in CASES.iter().filter(|case| case.name.contains(&options.only)) {
        let program = match case.kind {
            Kind::Null => Path::new(env!("CARGO_BIN_EXE_null-bootstrap")),
            Kind::Function(name) => programs.path(name)?,
            Kind::Node(_) => match &node {
                Some(node) => node,
                None => {
                    say(&format!("SKIPPED {}: `node` is not on the PATH", case.name));
                    measured.insert(case.name.to_owned(), json!("SKIPPED: `node` is not on the PATH"));
                    continue;
                }
            },
        };
        say(case.name);
        measured.insert(case.name.to_owned(), measure(case, program, options, &cores)?);
    }
    Ok(json!({
        "machine": { "architecture": std::env::consts::ARCH, "cores": cores.count() },
        "programs_on_cores": 1,
        "side_by_side": { "programs": SIDE_BY_SIDE, "cores": cores.count() },
        "cases": measured,
    }))
}

fn measure(case: &Case, program: &Path, options: &Options, cores: &Cores) -> Result<Value, Error> {
    cores.use_one()?;
    let stub = AwsStub::start().map_err(Error::machine("open a port for the services"))?;
    let events: Arc<[Vec<u8>]> = (case.events)(&stub.url()).into();
    let subject = |variables: Variables| Subject {
        program: Program { path: program.to_owned(), arguments: arguments(case.kind), variables },
        events: Arc::clone(&events),
        expected: case.expected,
    };
    let plain = subject((case.variables)(&stub.url()));
    // The first start reads the program from the disk.
    starts(&plain, 2)?;
    let init = starts(&plain, options.starts)?;
    let init_with_tls = match case.with_tls {
        Some(variables) => Some(starts(&subject(variables(&stub.url())), options.starts)?),
        None => None,
    };
    let invocations = options.invocations.unwrap_or(case.invocations);
    let before = stub.requests();
    let rounds = (0..options.rounds).map(|_| run(&plain, WARM_UP, invocations)).collect::<Result<Vec<Run>, Error>>()?;
    let requests = (stub.requests() - before) / (options.rounds * (WARM_UP + invocations)) as u64;
    cores.use_all()?;
    // Servers and programs started from here on use all cores.
    let each = (0..SIDE_BY_SIDE).map(|_| {
        let stub = AwsStub::start().map_err(Error::machine("open a port for the services"))?;
        Ok(Subject { events: (case.events)(&stub.url()).into(), ..subject((case.variables)(&stub.url())) })
    });
    let each = each.collect::<Result<Vec<Subject>, Error>>()?;
    let side_by_side = side_by_side(&each, WARM_UP, (invocations / SIDE_BY_SIDE).max(1))?;
    let mut report = figures_of(&rounds);
    report["init_ms"] = percentiles(init.clone(), &[("p50", 500), ("p99", 990)]);
    if let Some(init) = &init_with_tls {
        report["init_with_tls_ms"] = percentiles(init.clone(), &[("p50", 500), ("p99", 990)]);
    }
    report["side_by_side_per_s"] = json!(side_by_side.round());
    report["event_bytes"] = json!(events_bytes(&plain));
    report["aws_requests"] = json!(requests);
    if let Kind::Function(_) = case.kind {
        let (binary, zip) = sizes(program)?;
        report["binary_mib"] = json!(mib(binary));
        report["zip_mib"] = json!(mib(zip));
    }
    if requests < case.requests {
        say(&format!("{}: {requests} requests to AWS an event where {} belong", case.name, case.requests));
    }
    let missed = missed(&case.bars, &report);
    missed.iter().for_each(|missed| say(&format!("{}: {missed}", case.name)));
    report["missed"] = json!(missed);
    Ok(report)
}

/// The figures of the round with the median processor time.
fn figures_of(rounds: &[Run]) -> Value {
    let cpu = |run: &Run| run.processor_time.as_secs_f64() * 1e6 / run.round_trips.len().max(1) as f64;
    let middle = median(rounds.iter().map(cpu).collect());
    let run = rounds.iter().find(|run| cpu(run).total_cmp(&middle).is_eq()).unwrap_or(&rounds[0]);
    let largest = |of: fn(&Run) -> u64| rounds.iter().map(of).max().unwrap_or_default();
    json!({
        "round_trip_ms": percentiles(run.round_trips.clone(), &[("p50", 500), ("p99", 990), ("p999", 999)]),
        "cpu_us": rounded(middle, 1),
        "cpu_us_of_all_rounds": rounds.iter().map(|run| rounded(cpu(run), 1)).collect::<Vec<f64>>(),
        "sequential_per_s": (run.round_trips.len() as f64 / run.wall.as_secs_f64()).round(),
        "resident_mib": {
            "at_start": mib(largest(|run| run.resident_at_start_kib) * 1024),
            "after": mib(largest(|run| run.resident_after_kib) * 1024),
        },
        "invocations": run.round_trips.len(),
    })
}

/// The bars that a case doesn't meet, in words.
fn missed(bars: &Bars, report: &Value) -> Vec<String> {
    // A start with TLS is what is deployed.
    let init = report.get("init_with_tls_ms").unwrap_or(&report["init_ms"]);
    let pairs = [
        ("start, p50 in ms", &init["p50"], bars.init_p50_ms),
        ("round trip, p99 in ms", &report["round_trip_ms"]["p99"], bars.round_trip_p99_ms),
        ("processor time in µs", &report["cpu_us"], bars.cpu_us),
        ("memory in MiB", &report["resident_mib"]["after"], bars.resident_mib),
        ("zip in MiB", &report["zip_mib"], bars.zip_mib),
    ];
    let over = pairs.into_iter().filter_map(|(what, value, bar)| Some((what, value.as_f64()?, bar?)));
    over.filter(|(_, value, bar)| value > bar).map(|(what, value, bar)| format!("{what}: {value} > {bar}")).collect()
}

fn arguments(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Null | Kind::Function(_) => Vec::new(),
        Kind::Node(handler) => {
            vec![concat!(env!("CARGO_MANIFEST_DIR"), "/node/bootstrap.mjs").to_owned(), handler.to_owned()]
        }
    }
}

/// Where Node.js is, if it is installed.
fn node() -> Option<PathBuf> {
    let output = Command::new("node").args(["-p", "process.execPath"]).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

fn events_bytes(subject: &Subject) -> usize {
    subject.events.iter().map(Vec::len).sum::<usize>() / subject.events.len().max(1)
}

fn mib(bytes: u64) -> f64 {
    figures::rounded(bytes as f64 / 1024.0 / 1024.0, 2)
}

/// Progress and problems; stdout is for the document.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
