//! What every parser of outside input is held to.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::MEMORY;

/// A parser, with what it must be able to take.
pub(crate) struct Parser {
    /// Files and folders with valid samples, from this package on.
    pub(crate) corpus: &'static [&'static str],
    /// Feeds it. Gives whether it took the input as valid; a panic is a failure.
    pub(crate) parse: fn(&[u8]) -> bool,
    /// Most memory in use at the same time, in bytes: so much, and so much for each byte of input.
    pub(crate) memory: [usize; 2],
    /// Large inputs that are made to cost memory.
    pub(crate) hostile: fn() -> Vec<Vec<u8>>,
}

/// How often it is measured what seems to take too much. Memory is counted for the whole process, where threads that serve
/// tests (the harness, a server that is late) may allocate at the same time: that can only add, so the least counts.
const MEASUREMENTS: usize = 3;

impl Parser {
    /// Otherwise the damaged samples would be as good as any bytes.
    pub(crate) fn takes_its_samples(&self) {
        let _alone = alone();
        for (name, sample) in self.samples() {
            assert!((self.parse)(&sample), "`{name}` isn't valid; see `samples.rs` for how to write the samples anew");
        }
    }

    pub(crate) fn handles_any_bytes(&self) {
        let _alone = alone();
        self.handles(fuzz::any_bytes());
    }

    pub(crate) fn handles_damaged_samples(&self) {
        let _alone = alone();
        self.handles(fuzz::damaged(self.samples().into_iter().map(|(_, sample)| sample).collect()));
    }

    pub(crate) fn bounds_its_memory(&self) {
        let _alone = alone();
        let hostile = (self.hostile)();
        assert!(hostile.iter().any(|input| input.len() >= 1_000_000), "no large input");
        for input in hostile {
            self.measured(&input).unwrap_or_else(|message| panic!("{message}; {}", kept(input)));
        }
    }

    /// Only for who is [`alone`].
    fn handles(&self, inputs: impl Strategy<Value = Vec<u8>>) {
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        let inputs = inputs.prop_map(Input);
        let outcome = runner.run(&inputs, |Input(input)| self.measured(&input).map_err(TestCaseError::fail));
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, Input(input))) => panic!("{reason}; {}", kept(input)),
            Err(error) => panic!("{error}"),
        }
    }

    /// Parses, and holds the memory that it takes against the bound.
    fn measured(&self, input: &[u8]) -> Result<(), String> {
        let [base, per_byte] = self.memory;
        let bound = base + per_byte * input.len();
        let mut least = usize::MAX;
        for _ in 0..MEASUREMENTS {
            let ((), peak) = peak_of(|| {
                (self.parse)(input);
            });
            least = least.min(peak);
            if least <= bound {
                return Ok(());
            }
        }
        Err(format!("{least} bytes of memory, and {bound} are allowed"))
    }

    fn samples(&self) -> Vec<(String, Vec<u8>)> {
        let mut samples = Vec::new();
        for place in self.corpus {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
            let files = if path.is_dir() {
                let entries = fs::read_dir(&path).expect("a readable folder");
                entries.map(|entry| entry.expect("an entry").path()).collect()
            } else {
                vec![path]
            };
            for file in files.into_iter().filter(|file| file.extension().is_none_or(|extension| extension != "md")) {
                let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                samples.push((file.display().to_string(), bytes));
            }
        }
        assert!(!samples.is_empty(), "no samples");
        // Folders list their files in any order.
        samples.sort();
        samples
    }
}

/// The result of some work, and how many bytes it had in use at the same time at most. Only for who is [`alone`].
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// An input that is shown as text, and not longer than one can read.
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        let shown = bytes[..bytes.len().min(2_000)].escape_ascii();
        write!(f, "{} bytes: {shown}", bytes.len())
    }
}

/// Where the whole of a failing input is, and how it begins. No seed is kept that would bring it back.
fn kept(input: Vec<u8>) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("fuzz-{}-{}.input", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let place = match fs::write(&path, &input) {
        Ok(()) => format!("the input is in `{}`", path.display()),
        Err(error) => format!("the input could not be written to `{}` ({error})", path.display()),
    };
    format!("{place}, {:?}", Input(input))
}

/// Memory is counted for the whole process, so tests take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// JSON that costs a reader as much as can be: a megabyte of it alone, and a quarter of that for each of these places in a
/// sample. A place is the text of a value that the sample has.
pub(crate) fn monsters(sample: &str, places: &[&str]) -> Vec<Vec<u8>> {
    let mut monsters: Vec<Vec<u8>> = values(1_000_000).into_iter().map(String::into_bytes).collect();
    let values = values(250_000);
    for place in places {
        assert!(sample.contains(place), "`{place}` isn't in the sample");
        monsters.extend(values.iter().map(|value| sample.replacen(place, value, 1).into_bytes()));
    }
    monsters
}

/// Values of about so many bytes, with as much or as little in them as can be.
fn values(length: usize) -> [String; 10] {
    let many = |piece: &str| vec![piece; length / (piece.len() + 1)].join(",");
    let nested = |open: &str, close: &str| {
        let depth = length / (open.len() + close.len());
        format!("{}{}", open.repeat(depth), close.repeat(depth))
    };
    let members: Vec<String> = (0..length / 14).map(|number| format!("\"m{number}\":{{}}")).collect();
    [
        format!("\"{}\"", "a".repeat(length)),
        format!("\"{}\"", "\\u0001".repeat(length / 6)),
        "9".repeat(length),
        format!("[{}]", many("0")),
        format!("[{}]", many("{}")),
        format!("[{}]", many("[]")),
        format!("[{}]", many("\"\"")),
        format!("{{{}}}", members.join(",")),
        nested("[", "]"),
        nested("{\"M\":", "}"),
    ]
}

/// The tests of all parsers would be worth nothing if these passed.
#[test]
fn parsers_that_panic_or_take_too_much_are_found() {
    use std::panic::catch_unwind;
    type Fails = fn();
    type Found = fn(&[u8]) -> bool;
    const GREEDY: Parser = Parser {
        corpus: &["corpus/token"],
        parse: |bytes| vec![0_u8; bytes.len() * 3].iter().all(|byte| *byte == 0),
        memory: [1024, 2],
        hostile: || vec![vec![0; 1_000_000]],
    };
    const MODEST: Parser = Parser { memory: [1024, 4], ..GREEDY };
    const NERVOUS: Parser =
        Parser { parse: |bytes| bytes.iter().all(|byte| (*byte != b'{').then_some(true).expect("no brace")), ..MODEST };
    MODEST.bounds_its_memory();
    MODEST.takes_its_samples();
    for fails in [
        || Parser { parse: |_| false, ..MODEST }.takes_its_samples(),
        || Parser { hostile: Vec::new, ..MODEST }.bounds_its_memory(),
    ] {
        catch_unwind(fails).expect_err("found");
    }
    // What fails on an input leaves all of it.
    let found: [(Fails, Found); 3] = [
        (|| GREEDY.bounds_its_memory(), |input| input.len() == 1_000_000),
        (|| GREEDY.handles_damaged_samples(), |input| input.len() > 512),
        (|| NERVOUS.handles_any_bytes(), |input| input.contains(&b'{')),
    ];
    for (fails, is_found) in found {
        let message = catch_unwind(fails).expect_err("found").downcast::<String>().expect("a formatted message");
        let (_, rest) = message.split_once("the input is in `").expect("a file is named");
        let (path, _) = rest.split_once('`').expect("the name ends");
        let input = fs::read(path).expect("the file is there");
        fs::remove_file(path).expect("it can be removed");
        assert!(is_found(&input), "{message}");
    }
}
