//! Property values: a literal or an intrinsic function, typed by what it holds or refers to.
//!
//! Nothing is evaluated here; an intrinsic stays what CloudFormation will resolve.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde_json::Value as Json;

/// A literal or an intrinsic that yields a `T`.
///
/// `T` is the type of a literal (`String`, `i64`, `f64`, `bool`, [`Json`], a generated struct or enum), a whole list
/// ([`List`]) or the kind of a reference ([`Arn`], [`Id`], [`AnyKey`]).
/// A reference turns into `Value<String>` by `.into()`, never into a reference of another kind;
/// [`Value::assume`] is the explicit way around that.
pub struct Value<T> {
    json: Json,
    kind: PhantomData<fn() -> T>,
}

/// Kind of the ARN of an `R`.
pub struct Arn<R>(PhantomData<fn() -> R>);

/// Kind of the id or name of an `R`: what `Ref` yields for most types.
pub struct Id<R>(PhantomData<fn() -> R>);

/// Kind of a reference to an encryption key: a key's ARN or id, or an alias's name.
pub enum AnyKey {}

/// Kind of a reference to a Lambda function: its name, or the ARN of it, of a version or of an alias.
pub enum AnyFunction {}

/// A whole list of `T`, for intrinsics that yield a list such as [`split`](crate::split) or a list attribute.
pub struct List<T>(PhantomData<fn() -> T>);

/// Types that can be written into a template as they are.
///
/// Implemented by the primitive property types and by every generated struct and enum.
pub trait Literal {
    /// The template form of the value.
    fn into_json(self) -> Json;
}

/// What a list property takes: anything iterable whose items fit, or an intrinsic that yields the whole list.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of `{T}`",
    note = "give an array, a `Vec`, an iterator or a `Value<List<{T}>>`"
)]
pub trait IntoList<T> {
    /// The whole list as one value.
    fn into_list(self) -> Value<List<T>>;
}

impl<T> Value<T> {
    /// Wraps a template fragment. The caller vouches that it yields a `T`.
    pub fn from_json(json: Json) -> Self {
        Self { json, kind: PhantomData }
    }

    /// Takes text for a reference of the wanted kind: parameters, computed names, things that live elsewhere.
    ///
    /// This is the only way to turn text, or a reference of another kind, into a typed reference.
    /// Its name is for searching: every use is a claim that the compiler can't check.
    pub fn assume(text: impl Into<Value<String>>) -> Self {
        Self::from_json(text.into().json)
    }

    /// The template form of the value.
    pub fn as_json(&self) -> &Json {
        &self.json
    }

    /// The template form of the value.
    pub fn into_inner(self) -> Json {
        self.json
    }

    /// True for a literal, false if CloudFormation has to resolve something.
    pub fn is_literal(&self) -> bool {
        !crate::intrinsic::is_intrinsic(&self.json)
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self::from_json(self.json.clone())
    }
}

impl<T> PartialEq for Value<T> {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.json)
    }
}

/// Lets a value stand inside `json!({ ... })`, for policies and patterns.
impl<T> serde_core::Serialize for Value<T> {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_core::Serialize::serialize(&self.json, serializer)
    }
}

impl<T: Literal> From<T> for Value<T> {
    fn from(literal: T) -> Self {
        Self::from_json(literal.into_json())
    }
}

impl<T> From<&Value<T>> for Value<T> {
    fn from(value: &Value<T>) -> Self {
        value.clone()
    }
}

impl Literal for String {
    fn into_json(self) -> Json {
        Json::String(self)
    }
}

impl Literal for bool {
    fn into_json(self) -> Json {
        Json::Bool(self)
    }
}

impl Literal for i64 {
    fn into_json(self) -> Json {
        Json::from(self)
    }
}

impl Literal for f64 {
    /// A whole number is written without a fraction. Not a number and infinity, which JSON lacks, become `null`.
    fn into_json(self) -> Json {
        // 2^53: below it every whole number is exact in both types.
        if self.fract() == 0.0 && self.abs() < 9_007_199_254_740_992.0 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range, as just checked")]
            return Json::from(self as i64);
        }
        Json::from(self)
    }
}

impl Literal for Json {
    fn into_json(self) -> Json {
        self
    }
}

impl From<&str> for Value<String> {
    fn from(text: &str) -> Self {
        Self::from_json(Json::from(text))
    }
}

impl From<&String> for Value<String> {
    fn from(text: &String) -> Self {
        Self::from_json(Json::from(text.as_str()))
    }
}

impl From<Cow<'_, str>> for Value<String> {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from_json(Json::from(text.into_owned()))
    }
}

impl From<i32> for Value<i64> {
    fn from(number: i32) -> Self {
        Self::from_json(Json::from(number))
    }
}

impl From<u32> for Value<i64> {
    fn from(number: u32) -> Self {
        Self::from_json(Json::from(number))
    }
}

impl From<u16> for Value<i64> {
    fn from(number: u16) -> Self {
        Self::from_json(Json::from(number))
    }
}

impl From<u8> for Value<i64> {
    fn from(number: u8) -> Self {
        Self::from_json(Json::from(number))
    }
}

impl From<i32> for Value<f64> {
    fn from(number: i32) -> Self {
        Self::from_json(Json::from(number))
    }
}

impl From<u32> for Value<f64> {
    fn from(number: u32) -> Self {
        Self::from_json(Json::from(number))
    }
}

/// A free-form JSON property also takes the JSON text.
impl From<Value<String>> for Value<Json> {
    fn from(text: Value<String>) -> Self {
        Self::from_json(text.json)
    }
}

impl<R> From<Value<Arn<R>>> for Value<String> {
    fn from(arn: Value<Arn<R>>) -> Self {
        Self::from_json(arn.json)
    }
}

impl<R> From<&Value<Arn<R>>> for Value<String> {
    fn from(arn: &Value<Arn<R>>) -> Self {
        Self::from_json(arn.json.clone())
    }
}

impl<R> From<Value<Id<R>>> for Value<String> {
    fn from(id: Value<Id<R>>) -> Self {
        Self::from_json(id.json)
    }
}

impl<R> From<&Value<Id<R>>> for Value<String> {
    fn from(id: &Value<Id<R>>) -> Self {
        Self::from_json(id.json.clone())
    }
}

/// Each conversion between kinds of reference that is right: the left one stands where the right one is wanted.
macro_rules! stands_for {
    ($($from:ty => $to:ty),+ $(,)?) => {$(
        impl From<Value<$from>> for Value<$to> {
            fn from(reference: Value<$from>) -> Self {
                Self::from_json(reference.json)
            }
        }
        impl From<&Value<$from>> for Value<$to> {
            fn from(reference: &Value<$from>) -> Self {
                Self::from_json(reference.json.clone())
            }
        }
    )+};
}

stands_for! {
    AnyKey => String,
    AnyFunction => String,
    Arn<crate::kms::Key> => AnyKey,
    Id<crate::kms::Key> => AnyKey,
    Arn<crate::kms::ReplicaKey> => AnyKey,
    Id<crate::kms::ReplicaKey> => AnyKey,
    Id<crate::kms::Alias> => AnyKey,
    Arn<crate::lambda::Function> => AnyFunction,
    Id<crate::lambda::Function> => AnyFunction,
    // A replica is a key of its own region with the primary's key id.
    Arn<crate::kms::ReplicaKey> => Arn<crate::kms::Key>,
    Id<crate::kms::ReplicaKey> => Id<crate::kms::Key>,
}

impl<I, T> IntoList<T> for I
where
    I: IntoIterator,
    I::Item: Into<Value<T>>,
{
    fn into_list(self) -> Value<List<T>> {
        Value::from_json(Json::Array(self.into_iter().map(|item| item.into().json).collect()))
    }
}

impl<T> IntoList<T> for Value<List<T>> {
    fn into_list(self) -> Value<List<T>> {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_float_is_written_as_an_integer() {
        for (number, expected) in [(80.0, "80"), (0.5, "0.5"), (-3.0, "-3"), (2.5e10, "25000000000")] {
            assert_eq!(Value::from(number).as_json().to_string(), expected);
        }
    }

    #[test]
    fn values_stand_inside_json() {
        let value: Value<String> = Value::from_json(json!({"Ref": "Queue"}));
        assert_eq!(json!({"Resource": [value]}), json!({"Resource": [{"Ref": "Queue"}]}));
    }

    #[test]
    fn lists_take_iterators_and_whole_list_intrinsics() {
        let from_array: Value<List<String>> = ["a", "b"].into_list();
        assert_eq!(from_array.as_json(), &json!(["a", "b"]));
        let whole: Value<List<String>> = Value::from_json(json!({"Fn::GetAZs": ""}));
        assert_eq!(whole.clone().into_list(), whole);
    }
}
