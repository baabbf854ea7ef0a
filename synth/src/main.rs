//! `synth`: see `synth --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(synth::cli::main(std::env::args_os()))
}
