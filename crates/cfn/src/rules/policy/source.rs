//! Whether a value of a condition names somebody: an account, a resource of one, an organization.

use super::super::evaluate::{ACCOUNT, Text};

/// Whether the text says whose it is, so that it leaves out other accounts.
///
/// What is known only at deployment counts as a name, unless a wildcard stands where the account belongs.
pub(super) fn names_somebody(value: &Text) -> bool {
    let known = value.known.as_str();
    if !known.starts_with("arn:") {
        // `o-…/r-…/*` is everything below a part of one organization.
        let (fixed, wild) = known.split_at(known.find(['*', '?']).unwrap_or(known.len()));
        return wild.is_empty() || (fixed.starts_with("o-") && fixed.contains('/'));
    }
    let mut parts = known.splitn(6, ':').skip(4);
    match (parts.next(), parts.next()) {
        // Names of buckets belong to one account in the world.
        (Some(""), Some(resource)) => !resource.starts_with(['*', '?']),
        (Some(account), Some(_)) => !account.contains(['*', '?']),
        _ => !known.contains(['*', '?']),
    }
}

/// The account that a principal or ARN names in digits, if it isn't the stack's own.
pub(super) fn foreign_account(known: &str) -> Option<&str> {
    let account = if known.starts_with("arn:") { known.split(':').nth(4)? } else { known };
    let named = account.len() == ACCOUNT.len() && account.bytes().all(|byte| byte.is_ascii_digit());
    (named && account != ACCOUNT).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_an_account() {
        for (known, named) in [
            ("000000000000", true),
            ("arn:aws:sqs:us-west-2:000000000000:work", true),
            ("arn:aws:events:*:000000000000:rule/*", true),
            ("arn:aws:s3:::artifacts", true),
            ("vpce-1", true),
            ("o-example/r-1/*", true),
            ("arn:aws:sqs:us-west-2:*:work", false),
            ("arn:aws:s3:::*", false),
            ("arn:*:*:*:*:*", false),
            ("arn:aws:*", false),
            ("0000*", false),
            ("vpce-*", false),
            ("*", false),
            ("???", false),
        ] {
            let text = Text { known: known.to_owned(), complete: true };
            assert_eq!(names_somebody(&text), named, "{known}");
        }
    }

    #[test]
    fn the_own_account_is_not_foreign() {
        assert_eq!(foreign_account("arn:aws:iam::000000000000:root"), None);
        assert_eq!(foreign_account("000000000000"), None);
        assert_eq!(foreign_account("arn:aws:iam::111111111111:role/them"), Some("111111111111"));
        assert_eq!(foreign_account("111111111111"), Some("111111111111"));
        assert_eq!(foreign_account(""), None);
    }
}
