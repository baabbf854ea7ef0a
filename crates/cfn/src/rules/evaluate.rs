//! What a text will be once the stack is deployed, as far as the template tells.
//!
//! Pseudo parameters get values of the length that they have in the region; parameters and attributes stay unknown.

use serde_json::Value as Json;

/// Stands in for an account id, which always has 12 digits.
pub(super) const ACCOUNT: &str = "000000000000";

/// The text that a fragment becomes in a region, if the template tells all of it. The account counts as `000000000000`.
///
/// For tools that compare names over templates, such as two stacks that both declare a bucket.
pub fn known_text(json: &Json, region: &str) -> Option<String> {
    let text = text(json, region);
    text.complete.then_some(text.known)
}

/// A text with its unknown parts left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// The known parts, in their order.
    pub(super) known: String,
    /// True if nothing was left out.
    pub(super) complete: bool,
}

impl Text {
    fn literal(text: &str) -> Self {
        Self { known: text.to_owned(), complete: true }
    }

    fn push(&mut self, other: &Self) {
        self.known.push_str(&other.known);
        self.complete &= other.complete;
    }
}

/// The text that a fragment stands for; wholly unknown for what is no text.
pub(super) fn text(json: &Json, region: &str) -> Text {
    match json {
        Json::String(text) if text.contains("{{resolve:") => Text::default(),
        Json::String(text) => Text::literal(text),
        Json::Number(number) => Text::literal(&number.to_string()),
        Json::Object(map) if map.len() == 1 => {
            map.iter().next().map_or_else(Text::default, |(function, argument)| match (function.as_str(), argument) {
                ("Ref", Json::String(name)) => pseudo(name, region),
                ("Fn::Sub", Json::String(pattern)) => sub(pattern, None, region),
                ("Fn::Sub", Json::Array(parts)) => match parts.as_slice() {
                    [Json::String(pattern), variables] => sub(pattern, Some(variables), region),
                    _ => Text::default(),
                },
                ("Fn::Join", Json::Array(parts)) => match parts.as_slice() {
                    [Json::String(separator), Json::Array(items)] => join(separator, items, region),
                    _ => Text::default(),
                },
                _ => Text::default(),
            })
        }
        _ => Text::default(),
    }
}

fn pseudo(name: &str, region: &str) -> Text {
    let partition = match region {
        chinese if chinese.starts_with("cn-") => "aws-cn",
        government if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    match name {
        "AWS::AccountId" => Text::literal(ACCOUNT),
        "AWS::Partition" => Text::literal(partition),
        "AWS::Region" => Text::literal(region),
        "AWS::URLSuffix" if partition == "aws-cn" => Text::literal("amazonaws.com.cn"),
        "AWS::URLSuffix" => Text::literal("amazonaws.com"),
        _ => Text::default(),
    }
}

fn join(separator: &str, items: &[Json], region: &str) -> Text {
    let mut joined = Text::literal("");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            joined.known.push_str(separator);
        }
        joined.push(&text(item, region));
    }
    joined
}

fn sub(pattern: &str, variables: Option<&Json>, region: &str) -> Text {
    let mut out = Text::literal("");
    let mut rest = pattern;
    while let Some(start) = rest.find("${") {
        out.known.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else {
            out.known.push_str(&rest[start..]);
            return out;
        };
        let name = &after[..end];
        match (name.strip_prefix('!'), variables.and_then(|map| map.get(name))) {
            (Some(literal), _) => out.known.push_str(&format!("${{{literal}}}")),
            (None, Some(variable)) => out.push(&text(variable, region)),
            (None, None) => out.push(&pseudo(name, region)),
        }
        rest = &after[end + 1..];
    }
    out.known.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_parts_are_put_together() {
        for (json, known, complete) in [
            (json!("plain"), "plain", true),
            (json!({"Fn::Sub": "a-${AWS::AccountId}-${AWS::Region}"}), "a-000000000000-us-west-2", true),
            (json!({"Fn::Sub": "a-${Queue.Arn}-b"}), "a--b", false),
            (json!({"Fn::Sub": ["${x}-${!y}", {"x": {"Ref": "AWS::Partition"}}]}), "aws-${y}", true),
            (json!({"Fn::Join": ["/", ["a", {"Ref": "AWS::StackName"}, "b"]]}), "a//b", false),
            (json!({"Ref": "Parameter"}), "", false),
            (json!("{{resolve:ssm:/a}}"), "", false),
        ] {
            assert_eq!(text(&json, "us-west-2"), Text { known: known.to_owned(), complete }, "{json}");
        }
    }
}
