//! What to do about messages of CloudFormation and the services behind it that are known well.
//!
//! One table; the first row whose text is found in the message, whatever its case, gives the hint.

/// The hint for a service's message, if the message is known.
pub(crate) fn hint_for(message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    HINTS.iter().find(|(text, _)| message.contains(text)).map(|(_, hint)| *hint)
}

/// Part of a message in lower case, and what to do about it; narrow texts stand before wide ones.
const HINTS: &[(&str, &str)] = &[
    (
        "member must have length less than or equal to 51200",
        "the template is too long for a call and its bucket isn't there yet; split the stack, see `synth check`",
    ),
    (
        "unrecognized resource types",
        "the platform can't provision these types; on the local platform they are left out when it lists its types, \
         see `synth status`",
    ),
    (
        "already exists in stack",
        "another stack owns a resource of that name; remove it there first, or give this one another name",
    ),
    (
        "already exists",
        "something outside the stack has that name; delete it, import it into the stack, or choose another name",
    ),
    ("resourceconflictexception", "two changes met on one resource; deploy again, it carries on from what is there"),
    (
        "is not authorized to perform: iam:passrole",
        "the deploying role may not hand over that role; allow `iam:PassRole` on it",
    ),
    (
        "function execution role does not have permissions",
        "the function's role lacks that action; add the need to what the stack binds to the function",
    ),
    (
        "the role defined for the function cannot be assumed",
        "a new role takes some seconds to be known everywhere; deploy again",
    ),
    ("cannot be assumed by principal", "a new role takes some seconds to be known everywhere; deploy again"),
    ("is not authorized to perform", "the deploying role lacks that action; add it to the role, then deploy again"),
    ("access denied", "the deploying role lacks a permission for that call; add it, then deploy again"),
    ("accessdenied", "the deploying role lacks a permission for that call; add it, then deploy again"),
    (
        "cannot perform more than one gsi creation or deletion",
        "change one index of a table per deployment: deploy the first, then the second",
    ),
    ("only one replica", "add or remove one replica of a table per deployment, with no other change beside it"),
    (
        "cannot update a stack when a custom-named resource requires replacing",
        "the resource has a fixed name, so its successor can't be made beside it; give it a new name",
    ),
    (
        "custom-named resource requires replacing",
        "the resource has a fixed name, so its successor can't be made beside it; give it a new name",
    ),
    ("nosuchkey", "the code is not in the artifact bucket any more; deploy again, which uploads what is missing"),
    (
        "error occurred while getobject",
        "the code is not in the artifact bucket, or the deploying role may not read it; deploy again",
    ),
    (
        "unzipped size must be smaller than",
        "the function's code is over Lambda's limit of 250 MB unpacked; build it with the `lambda` profile",
    ),
    (
        "could not unzip uploaded file",
        "the uploaded code is damaged; delete its object in the artifact bucket and deploy again",
    ),
    (
        "queue visibility timeout",
        "a queue that feeds a function needs a visibility timeout of at least the function's timeout",
    ),
    (
        "reservedconcurrentexecutions",
        "the account must keep at least 10 unreserved concurrent executions; lower the reservation or raise the quota",
    ),
    ("limitexceeded", "a quota of the account is used up; raise it or remove what is no longer needed"),
    ("limit exceeded", "a quota of the account is used up; raise it or remove what is no longer needed"),
    ("rate exceeded", "the service refuses more calls at this moment; deploy again in a minute"),
    ("throttl", "the service refuses more calls at this moment; deploy again in a minute"),
    (
        "malformedpolicydocument",
        "a policy document is wrong; run `synth check`, then look at the resource's statements",
    ),
    ("invalid principal in policy", "the policy names a role or account that doesn't exist (yet)"),
    (
        "the bucket you tried to delete is not empty",
        "objects were written after the bucket was emptied; run `synth destroy` again",
    ),
    ("bucketnotempty", "objects were written after the bucket was emptied; run `synth destroy` again"),
    ("cannot delete export", "another stack still imports this output; deploy that stack first, then this one"),
    (
        "deletion protection",
        "the resource refuses its deletion; turn its deletion protection off if its data may go, then try again",
    ),
    (
        "terminationprotection",
        "the stack refuses its deletion; turn termination protection off in the environment and deploy first",
    ),
    (
        "template error: instance of fn::getatt references undefined",
        "the template reads something that isn't in it; run `synth check`",
    ),
    ("unresolved resource dependencies", "the template reads something that isn't in it; run `synth check`"),
    ("circular dependency", "resources wait for each other; run `synth check`, which names the circle"),
    (
        "requires capabilities",
        "the template makes roles, which the change set must acknowledge; this is a fault of the tool",
    ),
    (
        "security token included in the request is invalid",
        "the credentials are unknown to AWS; sign in again, for example with `aws sso login`",
    ),
    ("expired", "the credentials have run out; sign in again, for example with `aws sso login`"),
    (
        "did not stabilize",
        "the service did not finish in time; look at the resource in the service's own console, then deploy again",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_messages_have_their_hint() {
        for (message, part) in [
            ("tandem-x-events already exists in stack arn:aws:...", "another stack owns"),
            ("Resource handler returned message: \"Queue Already Exists\"", "something outside"),
            ("User: arn:... is not authorized to perform: iam:PassRole on resource", "hand over that role"),
            ("User: arn:... is not authorized to perform: sqs:CreateQueue", "lacks that action"),
            ("Cannot perform more than one GSI creation or deletion in a single update", "one index"),
            ("Error occurred while GetObject. S3 Error Code: NoSuchKey", "artifact bucket"),
            ("Rate exceeded", "in a minute"),
            ("The bucket you tried to delete is not empty", "emptied"),
        ] {
            let hint = hint_for(message).unwrap_or_default();
            assert!(hint.contains(part), "{message}: {hint}");
        }
        assert_eq!(hint_for("something nobody has seen"), None);
    }

    #[test]
    fn every_row_can_be_reached() {
        for (position, (text, hint)) in HINTS.iter().enumerate() {
            assert_eq!(*text, text.to_lowercase(), "texts are matched in lower case");
            let earlier = HINTS[..position].iter().find(|(earlier, _)| text.contains(earlier));
            assert!(earlier.is_none(), "`{text}` is hidden by {earlier:?}");
            assert!(!hint.ends_with('.'));
        }
    }
}
