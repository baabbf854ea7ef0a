//! The command line: what can be typed, and how a run ends.
//!
//! A command's arguments and its work are in its own module under [`crate::commands`]; this one only parses, makes the
//! [`Ui`], calls the command and turns its result into text and exit code. The Tokio runtime and the AWS SDK are
//! started by the commands that need them, so that the pure ones stay instant.

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};

use clap::error::ErrorKind;
use clap::{Args, Parser};

use crate::commands::Command;
use crate::error::Error;
use crate::exit_code;
use crate::ui::{ColorChoice, Format, Options, Ui};

/// Two regions, one command: synthesize, deploy and prove the event platform
///
/// Templates are made from typed stacks in `infra`, without network and in milliseconds.
/// The environment `sandbox` is deployed to a local platform and needs no AWS account.
#[derive(Debug, Parser)]
#[command(name = "synth", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    global: Global,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do
  1  failed: usage, configuration, remote or internal error
  2  there are changes
  3  there are changes that replace or remove something
  4  there are changes that broaden permissions
  5  refused: the plan is stale, or going on would do harm

Example:
  synth deploy --env sandbox";

/// Options of every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Environment in `environments/`; `list`, `synth`, `check` and `parity` take several, or `all` [default:
    /// TANDEM_ENV, or else sandbox; of `check`: all]
    #[arg(long = "env", value_name = "ENVIRONMENT", global = true)]
    environments: Vec<String>,

    /// Form of the answer on stdout: `human` or `json`; of `diff` and `drift` also `markdown`
    #[arg(long, value_enum, default_value_t, global = true, hide_possible_values = true)]
    format: Format,

    /// Leave out progress and status; warnings and errors stay
    #[arg(long, short, global = true)]
    quiet: bool,

    /// When to colour: `auto` (on a terminal, unless NO_COLOR is set), `always` or `never`
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true, hide_possible_values = true)]
    color: ColorChoice,
}

/// Runs the tool on the process's own stdout and stderr; yields the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let format = if asks_for_json(&arguments) { Format::Json } else { Format::Human };
            return end_without_command(&Ui::new(Options { format, ..Options::default() }), &error);
        }
    };
    let Global { environments, format, quiet, color } = cli.global;
    let ui = Ui::new(Options { format, quiet, color });
    if format == Format::Markdown && !cli.command.writes_markdown() {
        let error =
            Error::usage("only `diff` and `drift` write Markdown").hint("choose `--format human` or `--format json`");
        return end_with_error(&ui, &error);
    }
    let environments = cli.command.environments(environments, std::env::var("TANDEM_ENV").ok());
    // The panic itself was printed by the standard hook; what is left is to end as documented.
    let result = panic::catch_unwind(AssertUnwindSafe(|| cli.command.run(&ui, &environments)));
    match result {
        Ok(Ok(exit_code)) => exit_code,
        Ok(Err(error)) => end_with_error(&ui, &error),
        Err(_) => {
            let error = Error::internal("the tool broke one of its own rules; what was begun may be half done")
                .hint("run the command again: every command can be repeated");
            end_with_error(&ui, &error)
        }
    }
}

/// Says an error once: to stderr for people, as the answer for programs.
fn end_with_error(ui: &Ui, error: &Error) -> u8 {
    if ui.is_json() {
        ui.json(&error.to_json());
    } else {
        ui.error(&error.render());
    }
    error.kind().exit_code()
}

/// Help and version are answers; everything else that the parser says is a usage error.
fn end_without_command(ui: &Ui, error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            ui.answer(text.trim_end());
            exit_code::DONE
        }
        _ if ui.is_json() => {
            let message = text.lines().next().unwrap_or_default();
            let message = message.strip_prefix("error: ").unwrap_or(message);
            end_with_error(ui, &Error::usage(message).hint("see `synth --help`"))
        }
        _ => {
            ui.error(text.trim_end());
            exit_code::ERROR
        }
    }
}

/// Whether JSON was asked for on a command line that doesn't parse.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let after_format = |pair: &[OsString]| pair[0] == "--format" && pair[1] == "json";
    arguments.iter().any(|argument| argument == "--format=json") || arguments.windows(2).any(after_format)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_is_recognised_on_a_broken_command_line() {
        let arguments = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&arguments("synth lst --format json")));
        assert!(asks_for_json(&arguments("synth --format=json lst")));
        assert!(!asks_for_json(&arguments("synth lst --format human json")));
    }

    #[test]
    fn an_error_is_the_answer_in_json_and_a_message_otherwise() {
        let error = Error::refused("not now").hint("later");
        let (ui, buffers) = Ui::buffered(Format::Json);
        assert_eq!(end_with_error(&ui, &error), exit_code::REFUSED);
        assert!(buffers.out().contains("\"kind\": \"refused\""), "{}", buffers.out());
        assert_eq!(buffers.err(), "");
        let (ui, buffers) = Ui::buffered(Format::Human);
        assert_eq!(end_with_error(&ui, &error), exit_code::REFUSED);
        assert_eq!((buffers.out().as_str(), buffers.err().as_str()), ("", "refused: not now\n  hint: later\n"));
    }
}
