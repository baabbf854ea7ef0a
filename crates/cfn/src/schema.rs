//! What AWS's schemas demand of a value, as the build script wrote it down.
//!
//! Everything here is constant data: nothing is read, parsed or allocated when the tool starts. A schema is the list of
//! its demands in the order in which they are judged, so that judging a value costs what its schema says and no more.

use std::sync::OnceLock;

use regex_lite::Regex;

/// The schema of a property, or of a resource as a whole.
///
/// Two are equal if they are one place in the program: the same place of AWS's document always is, and places that demand
/// the same may be.
#[derive(Clone, Copy, Debug)]
pub struct Schema(pub(crate) &'static [Demand]);

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Schema {}

impl Schema {
    /// The most characters that a text may have; none if the schema doesn't bound it.
    pub fn max_length(&self) -> Option<u64> {
        self.0.iter().find_map(|demand| if let Demand::MaxLength(most) = demand { Some(*most) } else { None })
    }

    /// The largest number that is accepted; none if the schema doesn't bound it.
    #[cfg(test)]
    pub(crate) fn maximum(&self) -> Option<f64> {
        self.0.iter().find_map(|demand| if let Demand::Maximum(most) = demand { Some(*most) } else { None })
    }

    /// True if only text, numbers and truth values are accepted, which CloudFormation turns into each other.
    pub fn is_scalar(&self) -> bool {
        self.0.iter().any(|demand| match demand {
            Demand::Refers(schema) => schema.is_scalar(),
            Demand::Type(shapes) => !shapes.is_empty() && shapes.iter().all(|shape| matches!(shape, Shape::Scalar(_))),
            _ => false,
        })
    }

    /// True for a list whose order means nothing.
    pub fn is_unordered(&self) -> bool {
        self.0.iter().any(|demand| match demand {
            Demand::Refers(schema) => schema.is_unordered(),
            Demand::Unordered => true,
            _ => false,
        })
    }

    pub(crate) fn pattern(&self) -> Option<Pattern> {
        self.0.iter().find_map(|demand| if let Demand::Pattern(pattern) = demand { Some(*pattern) } else { None })
    }

    /// The schema and all that it leads to, each once: a definition may lead to itself.
    pub(crate) fn with_parts(self) -> Vec<Self> {
        let mut seen = vec![self];
        let mut next = 0;
        while let Some(schema) = seen.get(next).copied() {
            next += 1;
            for part in schema.0.iter().flat_map(Demand::schemas) {
                if !seen.contains(part) {
                    seen.push(*part);
                }
            }
        }
        seen
    }

    /// The properties that it names itself.
    #[cfg(test)]
    pub(crate) fn properties(self) -> &'static [(&'static str, Self)] {
        self.0
            .iter()
            .find_map(|demand| if let Demand::Names(names) = demand { Some(names.properties) } else { None })
            .unwrap_or_default()
    }

    /// What a value may be.
    #[cfg(test)]
    pub(crate) fn shapes(self) -> &'static [Shape] {
        self.0
            .iter()
            .find_map(|demand| if let Demand::Type(shapes) = demand { Some(*shapes) } else { None })
            .unwrap_or_default()
    }

    /// The patterns that it holds itself: of a text, and of an object's names.
    pub(crate) fn patterns(self) -> impl Iterator<Item = Pattern> {
        self.0.iter().flat_map(|demand| match demand {
            Demand::Pattern(pattern) => vec![*pattern],
            Demand::Names(names) => names.patterns.iter().map(|(pattern, _)| *pattern).collect(),
            _ => Vec::new(),
        })
    }

    /// The schema of what lies at `part`: a property's name, or `*` or an index for the items of a list.
    pub(crate) fn step(&self, part: &str) -> Option<&'static Self> {
        let is_item = part == "*" || part.bytes().all(|byte| byte.is_ascii_digit());
        self.0.iter().find_map(|demand| match demand {
            Demand::Refers(schema) => schema.step(part),
            Demand::Names(names) => names.property(part),
            Demand::Items(schema) if is_item => Some(schema),
            _ => None,
        })
    }
}

/// One thing that a schema demands. What isn't about a value's shape, such as a length of a number, passes it.
#[derive(Debug)]
pub(crate) enum Demand {
    /// All that another schema demands (`$ref`).
    Refers(&'static Schema),
    AllOf(&'static [Branch]),
    AnyOf(&'static [Schema]),
    OneOf(&'static [Schema]),
    /// One of these values.
    Enum(&'static Accepted),
    /// As [`Self::Enum`], upper and lower case alike.
    EnumAnyCase(&'static Accepted),
    /// This value.
    Const(&'static str),
    /// Characters of a text.
    MinLength(u64),
    MaxLength(u64),
    Pattern(Pattern),
    Minimum(f64),
    Maximum(f64),
    MinItems(u64),
    MaxItems(u64),
    /// No item twice.
    Unique,
    /// The order of the items means nothing (`insertionOrder`); demands nothing of a value.
    Unordered,
    MaxUniqueItems(u64),
    /// No two items with the same values of these properties.
    UniqueKeys(&'static [&'static str]),
    Items(Schema),
    /// Of the first items, each its own schema.
    PrefixItems(&'static [Schema]),
    MinProperties(u64),
    MaxProperties(u64),
    Required(&'static [&'static str]),
    /// Exactly one of these properties.
    RequiredXor(&'static [&'static str]),
    /// At least one of these properties.
    RequiredOr(&'static [&'static str]),
    /// Each property needs the ones beside it.
    DependentRequired(Dependents),
    /// Each property excludes the ones beside it.
    DependentExcluded(Dependents),
    Names(Names),
    Type(&'static [Shape]),
}

impl Demand {
    /// The schemas that it leads to.
    fn schemas(&'static self) -> Vec<&'static Schema> {
        match self {
            Self::Refers(schema) => vec![schema],
            Self::Items(schema) => vec![schema],
            Self::AnyOf(schemas) | Self::OneOf(schemas) | Self::PrefixItems(schemas) => schemas.iter().collect(),
            Self::AllOf(branches) => {
                branches.iter().flat_map(|Branch { condition, then }| condition.iter().chain([then])).collect()
            }
            Self::Names(names) => {
                let properties = names.properties.iter().map(|(_, schema)| schema);
                properties.chain(names.patterns.iter().map(|(_, schema)| schema)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Names of properties, each with the names that go with it.
pub(crate) type Dependents = &'static [(&'static str, &'static [&'static str])];

/// A branch of `allOf`: it holds always, or only for what fits the condition (`if`, `then`).
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) condition: Option<Schema>,
    pub(crate) then: Schema,
}

/// The values of an enumeration.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Each as text: CloudFormation takes `"30"` for `30`.
    pub(crate) texts: &'static [&'static str],
    /// Whether all of them are numbers, so that there is a nearest one.
    pub(crate) numbers: bool,
}

/// The properties of an object.
#[derive(Debug)]
pub(crate) struct Names {
    /// Sorted by name.
    pub(crate) properties: &'static [(&'static str, Schema)],
    /// Whatever has a name of such a form.
    pub(crate) patterns: &'static [(Pattern, Schema)],
    /// Whether no other name is accepted.
    pub(crate) closed: bool,
}

impl Names {
    pub(crate) fn property(&self, name: &str) -> Option<&'static Schema> {
        let index = self.properties.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
        Some(&self.properties[index].1)
    }
}

/// CloudFormation turns scalars into each other, so they are one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Array,
    Object,
    /// By its name in the schema.
    Scalar(&'static str),
}

impl Shape {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Object => "object",
            Self::Scalar(name) => name,
        }
    }
}

/// A regular expression, in the schemas' dialect; by its place among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern(pub(crate) usize);

impl Pattern {
    /// As the schema has it.
    pub(crate) fn text(self) -> &'static str {
        crate::describe::PATTERNS[self.0]
    }

    /// Compiled when it is first needed, or why it isn't checked.
    pub(crate) fn compiled(self) -> &'static Result<Regex, String> {
        static COMPILED: [OnceLock<Result<Regex, String>>; crate::describe::PATTERNS.len()] =
            [const { OnceLock::new() }; crate::describe::PATTERNS.len()];
        COMPILED[self.0].get_or_init(|| crate::check::compile(self.text()))
    }
}
