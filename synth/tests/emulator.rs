//! The tests of the emulator's launcher, which are written in Python: each AWS behaviour over the real API.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_emulator_behaves_like_aws() {
    let emulator = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulator");
    let python = environment_for_tests(&emulator);
    let output = Command::new(python)
        .args(["-m", "unittest", "discover", "--start-directory"])
        .arg(emulator.join("tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("skipped"), "a skipped test proves nothing:\n{text}");
}

/// A virtual environment with the emulator and what its tests import, made anew when the requirements change.
fn environment_for_tests(emulator: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulator-tests");
    let requirements = ["requirements.txt", "requirements-test.txt"].map(|name| emulator.join(name));
    let wanted = requirements.each_ref().map(|path| std::fs::read_to_string(path).expect("requirements")).concat();
    let stamp = folder.join("requirements-installed.txt");
    let python = folder.join("bin/python");
    if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]);
        for path in &requirements {
            install.arg("-r").arg(path);
        }
        run(&mut install);
        std::fs::write(&stamp, wanted).expect("the stamp is written");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().expect("Python starts");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
