//! Guard files: those that came with the tool, and those in the checkout's `infra/policy`.

use std::collections::BTreeMap;
use std::fs;

use cfn::Template;
use infra::rules::GUARD_FILES;
use policy::{Failure, Problem, RuleFile, Status};

use super::{Group, Subject};
use crate::commands::Checkout;
use crate::error::Error;

/// The folder in the checkout.
const FOLDER: &str = "infra/policy";

/// All Guard files, read once.
pub(super) struct Rules(Vec<RuleFile>);

impl Rules {
    /// Reads the built-in files and those of the checkout; a file of the checkout stands for the built-in one of its name.
    ///
    /// # Errors
    /// A file can't be read, or is not of the language.
    pub(super) fn read(checkout: &Checkout) -> Result<Self, Error> {
        let built_in = GUARD_FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let mut texts: BTreeMap<String, String> = built_in.collect();
        texts.extend(of_checkout(checkout)?);
        let files = texts.iter().map(|(name, text)| RuleFile::parse(name, text).map_err(|problem| unusable(&problem)));
        files.collect::<Result<_, Error>>().map(Self)
    }

    /// What the rules find wrong with a template.
    ///
    /// # Errors
    /// A rule names something that its file doesn't have.
    pub(super) fn judge(&self, template: &Template) -> Result<Vec<Subject>, Problem> {
        let document = template.to_json();
        let mut subjects = Vec::new();
        for file in &self.0 {
            for outcome in file.evaluate(&document)? {
                if outcome.status == Status::Fail {
                    let mut failures = outcome.failures;
                    if failures.is_empty() {
                        failures.push(unexplained(&outcome.rule));
                    }
                    let failures = failures.into_iter();
                    subjects.extend(failures.map(|failure| subject(file.name(), &outcome.rule, failure, template)));
                }
            }
        }
        Ok(subjects)
    }
}

/// Names below the checkout's root, and texts. A checkout without the folder has none.
fn of_checkout(checkout: &Checkout) -> Result<Vec<(String, String)>, Error> {
    let folder = checkout.root().join(FOLDER);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |what: &str, error| Error::configuration(format!("cannot read `{what}`")).caused_by(error);
    let mut texts = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| unreadable(FOLDER, error))? {
        let path = entry.map_err(|error| unreadable(FOLDER, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".guard"));
        if let Some(name) = name {
            let name = format!("{FOLDER}/{name}");
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&name, error))?;
            texts.push((name, text));
        }
    }
    Ok(texts)
}

/// A file that can't be read or evaluated is the checkout's mistake.
pub(super) fn unusable(problem: &Problem) -> Error {
    Error::configuration("a Guard file can't be used")
        .detail(problem.to_string())
        .hint("`infra/policy/README.md` says what of the language is there")
}

/// What is shown of a rule that fails and says nothing, so that no verdict is lost.
fn unexplained(rule: &str) -> Failure {
    let clause = format!("rule {rule}");
    Failure { line: 1, clause, path: String::new(), found: "no clause says why".to_owned(), message: None }
}

/// `Resources/Work/Properties/Name` is about the resource `Work` and its property `Name`.
fn subject(file: &str, rule: &str, failure: Failure, template: &Template) -> Subject {
    let Failure { line, clause, path, found, message } = failure;
    let mut parts = path.splitn(3, '/');
    let resource = parts.next().filter(|section| *section == "Resources").and_then(|_| parts.next());
    let declaration = resource.and_then(|logical_id| template.resource(logical_id));
    let inside = parts.next().unwrap_or_default();
    Subject {
        group: Group::Guard,
        file: Some(file.to_owned()),
        line: Some(line),
        rule: rule.to_owned(),
        logical_id: resource.map(str::to_owned),
        resource_type: declaration.map(|declaration| declaration.type_name().to_owned()),
        path: inside.strip_prefix("Properties/").unwrap_or(inside).to_owned(),
        message: format!("`{clause}` does not hold: {found}"),
        hint: message,
    }
}

#[cfg(test)]
mod tests {
    use cfn::sqs;

    use super::*;

    /// A checkout with these files in its policy folder.
    fn checkout(files: &[(&str, &str)]) -> (tempfile::TempDir, Checkout) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("Cargo.toml"), "").expect("a file");
        fs::create_dir_all(folder.path().join("environments")).expect("a folder");
        fs::create_dir_all(folder.path().join(FOLDER)).expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(FOLDER).join(name), text).expect("a file");
        }
        let checkout = Checkout::around(folder.path()).expect("a checkout");
        (folder, checkout)
    }

    fn rules_that_fail(files: &[(&str, &str)]) -> Vec<String> {
        let (_folder, checkout) = checkout(files);
        let mut template = Template::new();
        template.add("Work", sqs::Queue::new().queue_name("work"));
        let subjects = Rules::read(&checkout).expect("rules").judge(&template).expect("verdicts");
        subjects.into_iter().map(|subject| subject.rule).collect()
    }

    #[test]
    fn a_file_in_the_folder_is_one_more() {
        let file = "rule queues_have_long_names {\n  Resources.*[ Type == 'AWS::SQS::Queue' ].Properties.QueueName == /.{9}/ << longer >>\n}";
        assert_eq!(rules_that_fail(&[]), ["queues_use_kms"]);
        assert_eq!(rules_that_fail(&[("team.guard", file)]), ["queues_use_kms", "queues_have_long_names"]);
        assert_eq!(rules_that_fail(&[("team.txt", file)]), ["queues_use_kms"]);
    }

    #[test]
    fn a_file_of_the_same_name_takes_the_place_of_the_built_in_one() {
        assert_eq!(rules_that_fail(&[("encryption.guard", "rule all { Resources exists }")]), [""; 0]);
    }

    #[test]
    fn a_failure_names_resource_property_and_repair() {
        let file = "\nrule names {\n  Resources.Work.Properties.QueueName == 'other' << call it other >>\n}";
        let (_folder, checkout) = checkout(&[("encryption.guard", file)]);
        let mut template = Template::new();
        template.add("Work", sqs::Queue::new().queue_name("work"));
        let subjects = Rules::read(&checkout).expect("rules").judge(&template).expect("verdicts");
        let [subject] = subjects.as_slice() else { panic!("{subjects:#?}") };
        assert_eq!((subject.file.as_deref(), subject.line), (Some("infra/policy/encryption.guard"), Some(3)));
        assert_eq!((subject.logical_id.as_deref(), subject.path.as_str()), (Some("Work"), "QueueName"));
        assert_eq!(subject.resource_type.as_deref(), Some("AWS::SQS::Queue"));
        assert_eq!(subject.message, "`Resources.Work.Properties.QueueName == 'other'` does not hold: it is \"work\"");
        assert_eq!(subject.hint.as_deref(), Some("call it other"));
    }

    #[test]
    fn a_file_that_is_no_guard_file_is_named() {
        let (_folder, checkout) = checkout(&[("team.guard", "rule one {\n  count(%x) == 1\n}")]);
        let error = Rules::read(&checkout).err().expect("no rules");
        assert_eq!(error.to_string(), "a Guard file can't be used");
        assert_eq!(error.details(), ["infra/policy/team.guard:2: functions are not supported"]);
    }
}
