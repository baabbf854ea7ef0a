//! Chores of this repository that cargo alone cannot do, run as `cargo xtask <chore>`.
//!
//! It changes files of the checkout and talks to the package registry; it never talks to AWS and is no part of what
//! is deployed.

mod dictionaries;
mod features;
mod schemas;
mod semantics;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str =
    "usage: cargo xtask schemas [--check] | features | semantics | dictionaries [--from <folder> | --check | --compare]

  schemas                 copy the resource schemas listed in crates/cfn/schemas/types.txt out of the pinned package
  schemas --check         compare the checked-in schemas with the package, change nothing
  features                check that every build uses the same features of the dependencies
  semantics               check that every test that docs/semantics.md names is there
  dictionaries            train the dictionaries of the cross-region envelope and write those that are new
  dictionaries --from f   train on the domain events in f/customers.jsonl, f/orders.jsonl, f/products.jsonl, one a line
  dictionaries --check    train them and compare with the checked-in ones, change nothing
  dictionaries --compare  say what dictionaries of other sizes and scopes would save";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["schemas"] => end(schemas::write()),
        ["schemas", "--check"] => end(schemas::check()),
        ["features"] => end(features::check()),
        ["semantics"] => end(semantics::check()),
        ["dictionaries"] => end(dictionaries::write()),
        ["dictionaries", "--from", folder] => end(dictionaries::write_from(Path::new(folder))),
        ["dictionaries", "--check"] => end(dictionaries::check()),
        ["dictionaries", "--compare"] => end(dictionaries::compare()),
        _ => {
            say(USAGE);
            ExitCode::from(2)
        }
    }
}

/// Says how a chore ended, with every cause.
fn end<E: std::error::Error>(outcome: Result<String, E>) -> ExitCode {
    match outcome {
        Ok(summary) => {
            say(&summary);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!("\n  because {cause}"));
                source = cause.source();
            }
            say(&text);
            ExitCode::FAILURE
        }
    }
}

/// Writes one message for people; a closed pipe is no error.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
