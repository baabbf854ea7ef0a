//! CloudFormation's own limits on a template.
//!
//! Source: "CloudFormation quotas" in the CloudFormation user guide, as of November 2026.

use super::Violation;
use crate::template::Template;

const RESOURCES: usize = 500;
const PARAMETERS: usize = 200;
const OUTPUTS: usize = 200;
/// Bytes of a description.
const DESCRIPTION: usize = 1024;
/// Bytes that a template may have when it is sent along with the request; a longer one has to lie in a bucket.
const INLINE: usize = 51_200;
/// Bytes that a template in a bucket may have.
const BODY: usize = 1_048_576;

pub(super) fn check(template: &Template, found: &mut Vec<Violation>) {
    let counts = [
        ("resources", template.resources().len(), RESOURCES),
        ("parameters", template.parameters().len(), PARAMETERS),
        ("outputs", template.outputs().len(), OUTPUTS),
    ];
    for (what, count, limit) in counts {
        if count > limit {
            let message = format!("the template has {count} {what}, CloudFormation takes {limit}");
            found.push(Violation::new("limit", message).hint("split the stack"));
        }
    }
    if template.resources().len() == 0 {
        found.push(Violation::new("limit", "the template has no resource, CloudFormation needs one"));
    }
    if let Some(text) = template.description()
        && text.len() > DESCRIPTION
    {
        let message = format!("the description has {} bytes, CloudFormation takes {DESCRIPTION}", text.len());
        found.push(Violation::new("limit", message));
    }
    let size = template.render().len();
    // White space is left out where that makes a template short enough for the request.
    let compact = template.compact_len();
    if size > BODY {
        let message = format!("the template has {size} bytes, CloudFormation takes {BODY}");
        found.push(Violation::new("limit", message).hint("split the stack"));
    } else if compact > INLINE {
        let message = format!(
            "the template has {compact} bytes without white space, more than the {INLINE} that fit into a request"
        );
        found.push(Violation::new("size", message).note().hint("it is deployed from a bucket"));
    }
}
