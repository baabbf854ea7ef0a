//! Which commit a stack was deployed from: it stands in the name of the change set, which CloudFormation keeps with the stack.
//!
//! So it costs no call and no write, and it is true of the stack whoever has deployed it.

use std::path::Path;

use tokio::process::Command;

use super::change_set::PREFIX;

/// What follows the commit when files differed from it.
const CHANGED: &str = "changed";

/// The commit of the checkout in a form for names; none where `git` knows of none.
pub(crate) async fn of_checkout(checkout: &Path) -> Option<String> {
    let git = async |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(checkout).args(arguments).output().await.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).await.filter(|commit| is_commit(commit))?;
    // Without files that git doesn't know: a plan or packed functions may lie in the checkout.
    let differs = git(&["status", "--porcelain", "--untracked-files=no"]).await.is_none_or(|files| !files.is_empty());
    Some(if differs { format!("{commit}-{CHANGED}") } else { commit })
}

/// The name of a change set that no other run uses.
pub(crate) fn change_set_name(revision: Option<&str>, unique: &str) -> String {
    match revision {
        Some(revision) => format!("{PREFIX}{revision}-{unique}"),
        None => format!("{PREFIX}{unique}"),
    }
}

/// The commit in the name (or ARN) of a change set, for people.
pub(crate) fn in_change_set(name: &str) -> Option<String> {
    let name = name.rsplit_once(":changeSet/").map_or(name, |(_, name)| name);
    let name = name.split('/').next().unwrap_or(name);
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let commit = parts.next().filter(|commit| is_commit(commit))?;
    match (parts.next()?, parts.next()) {
        (CHANGED, Some(_)) => Some(format!("{commit} with changes")),
        (_, None) => Some(commit.to_owned()),
        _ => None,
    }
}

/// Git makes an abbreviated id longer where it would be ambiguous.
fn is_commit(text: &str) -> bool {
    (12..=40).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_found_again_in_the_name() {
        let unique = "3f0c7e6a9d1b4a5f8c2e7d6b5a4f3e2d";
        for (revision, shown) in [
            (Some("0123456789ab"), Some("0123456789ab")),
            (Some("0123456789ab-changed"), Some("0123456789ab with changes")),
            (None, None),
        ] {
            let name = change_set_name(revision, unique);
            assert_eq!(in_change_set(&name).as_deref(), shown, "{name}");
            let arn = format!("arn:aws:cloudformation:us-west-2:000000000000:changeSet/{name}/1f2e-3d");
            assert_eq!(in_change_set(&arn).as_deref(), shown, "{arn}");
            // CloudFormation's rule for the name.
            assert!(name.len() <= 128 && name.starts_with(|c: char| c.is_ascii_alphabetic()));
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
        }
        for other in ["", "review", "synth-", "synth-0123456789ab", "cdk-0123456789ab-1", "synth-0123456789ab-1-2"] {
            assert_eq!(in_change_set(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_checkout_tells_its_commit_and_whether_files_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(of_checkout(path).await, None, "no repository");
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"];
            let status = std::process::Command::new("git").arg("-C").arg(path).args(identity).args(arguments).output();
            assert!(status.unwrap().status.success(), "{arguments:?}");
        };
        git(&["init", "--quiet"]);
        assert_eq!(of_checkout(path).await, None, "no commit");
        std::fs::write(path.join("file"), "1").unwrap();
        git(&["add", "file"]);
        git(&["commit", "--quiet", "--message", "first"]);
        let commit = of_checkout(path).await.unwrap();
        assert!(is_commit(&commit), "{commit}");
        std::fs::write(path.join("plan.json"), "{}").unwrap();
        assert_eq!(of_checkout(path).await.as_ref(), Some(&commit));
        std::fs::write(path.join("file"), "2").unwrap();
        assert_eq!(of_checkout(path).await, Some(format!("{commit}-changed")));
    }
}
