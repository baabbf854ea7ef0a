use super::*;
use proptest::prelude::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn rewritten(text: &str) -> String {
    let raw = raw(text);
    let (value, defects) = read(&raw).expect("not deep");
    assert_eq!(defects, [], "{text}");
    let mut out = String::new();
    value.write(&mut out);
    out
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("a pointer")
}

#[test]
fn spelling_is_kept_and_white_space_is_not() {
    let check = |text: &str, expected: &str| assert_eq!(rewritten(text), expected);
    check(" { \"b\" : [ 1 , 2.50 ,\n1e400, -0.0 ] , \"a\" : { } } ", r#"{"b":[1,2.50,1e400,-0.0],"a":{}}"#);
    check(
        r#"["\u00e9\/\"", "é, ]}", "\\", true, false, null, []]"#,
        r#"["\u00e9\/\"","é, ]}","\\",true,false,null,[]]"#,
    );
    check("9007199254740993", "9007199254740993");
    check("\"text\"", "\"text\"");
}

#[test]
fn ambiguous_documents_are_reported() {
    let check = |text: &str, expected: &[(&str, ViolationCode)]| {
        let raw = raw(text);
        let (_, defects) = read(&raw).expect("not deep");
        let found: Vec<_> = defects.iter().map(|defect| (defect.pointer.as_str(), defect.code)).collect();
        assert_eq!(found, expected, "{text}");
    };
    check(r#"{"a":1,"b":{"a":1,"\u0061":2}}"#, &[("/b/a", ViolationCode::DuplicateMember)]);
    check(r#"{"a":["ok","\ud800"]}"#, &[("/a/1", ViolationCode::NotText)]);
    check(r#"{"a/b~":"\ud83d\ude00","\udc00":1}"#, &[("/\"\\udc00\"", ViolationCode::NotText)]);
    check(r#"{"a/b":"\udfff"}"#, &[("/a~1b", ViolationCode::NotText)]);
}

#[test]
fn a_bad_document_is_not_told_of_without_end() {
    let long = "n".repeat(MAX_POINTER_BYTES);
    let twice = r#""a":1,"#.repeat(1_000);
    let text = raw(&format!(r#"{{"b":{{"{long}":{{{twice}"a":2}}}}}}"#));
    let (_, defects) = read(&text).expect("not deep");
    assert_eq!(defects.len(), MAX_DEFECTS);
    assert!(defects.iter().all(|defect| defect.pointer == "/b"));
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| raw(&("[".repeat(depth) + &"]".repeat(depth)));
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    let text = nested(MAX_DEPTH + 1);
    let defect = read(&text).expect_err("too deep");
    assert_eq!((defect.code, defect.pointer), (ViolationCode::TooDeep, "/0".repeat(MAX_DEPTH)));
    assert!(read(&nested(200_000)).is_err(), "no stack is used up");
}

#[test]
fn pointers_find_values() {
    let raw = raw(r#"{"a":[{"b~c/d":1}],"":2,"0":3,"e":"x"}"#);
    let (mut value, _) = read(&raw).expect("not deep");
    let found = |text: &str| match value.find(&pointer(text)) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    assert_eq!(found("/a/0/b~0c~1d"), Some("1"));
    assert_eq!((found("/"), found("/0")), (Some("2"), Some("3")));
    for absent in ["/a/1", "/a/00", "/a/+0", "/a/-", "/b", "/e/0", ""] {
        assert_eq!(found(absent), None, "{absent}");
    }
    assert!(value.replace(&pointer("/a/7"), "z").is_none());
    let before = value.replace(&pointer("/e"), "\"z\"").expect("there");
    assert_eq!(before.as_text().as_deref(), Some("x"));
    assert_eq!(value.find(&pointer("/e")).and_then(Value::as_text).as_deref(), Some("\"z\""));
}

#[test]
fn pointers_have_one_form() {
    for text in ["", "/", "/a", "/a/b~0c~1d", "/a//"] {
        assert_eq!(pointer(text).to_string(), text);
    }
    for text in ["a", "/a~", "/~2", "/~é", "#/a"] {
        assert_eq!(Pointer::parse(text), None, "{text}");
    }
}

/// Any JSON value; its numbers and texts in more than one spelling.
pub(crate) fn any_json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[ -~&&[^\"\\\\]]{0,12}".prop_map(|text| format!("\"{text}\"")),
        ".{0,8}".prop_map(|text| quoted(&text)),
        Just(r#""\u00e9\/\n\ud83d\ude00""#.to_owned()),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        text.clone(),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let member = (text.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} : {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|values| format!("[ {} ]", values.join(" , "))),
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}\n}}", members.join(",\t"))),
        ]
    })
}

proptest! {
    #[test]
    fn writing_changes_no_meaning(text in any_json()) {
        let raw = raw(&text);
        let (value, _) = read(&raw).expect("not deep");
        let mut written = String::new();
        value.write(&mut written);
        // Numbers that no double holds are refused by serde_json's own values.
        if let Ok(expected) = serde_json::from_str::<serde_json::Value>(&text) {
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), expected);
        }
        prop_assert_eq!(rewritten_again(&written), written);
    }
}

/// Tokens in any order; now and then they are JSON.
fn token_soup() -> impl Strategy<Value = String> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "\"a\"",
        "\"\"",
        "\"\\ud800\"",
        "\"\\\\\"",
        "\"\\u00e9é\"",
        "0",
        "-0.0e-5",
        "1e9999",
        "true",
        "null",
    ];
    prop::collection::vec(prop::sample::select(tokens.to_vec()), 0..8).prop_map(|tokens| tokens.concat())
}

/// A document with some characters left out, said twice or changed.
fn damaged_json() -> impl Strategy<Value = String> {
    (any_json(), any::<prop::sample::Index>(), 0..3_usize, "[\\[\\]{}\",:0-9e\\\\ ]{0,2}").prop_map(
        |(text, at, length, insert)| {
            let characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            let end = characters.len().min(at + length);
            characters[..at].iter().copied().chain(insert.chars()).chain(characters[end..].iter().copied()).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Whatever serde_json takes for JSON is read and written again, and means the same.
    #[test]
    fn all_that_is_json_is_read(text in prop_oneof![token_soup(), damaged_json(), ".{0,30}"]) {
        if let Ok(raw) = RawValue::from_string(text.clone()) {
            let (value, _) = read(&raw).expect("not deep");
            let mut written = String::new();
            value.write(&mut written);
            prop_assert!(written.len() <= raw.get().len());
            let without_space = |text: &str| text.replace([' ', '\t', '\n', '\r'], "");
            prop_assert_eq!(without_space(&written), without_space(&text));
            prop_assert_eq!(rewritten_again(&written), written);
        }
    }

    #[test]
    fn any_text_is_a_pointer_or_none(text in "[/~01a-zé]{0,12}|.{0,12}") {
        if let Some(pointer) = Pointer::parse(&text) {
            prop_assert_eq!(pointer.to_string(), text);
        }
    }
}

fn rewritten_again(text: &str) -> String {
    let raw = raw(text);
    let (value, _) = read(&raw).expect("not deep");
    let mut out = String::new();
    value.write(&mut out);
    out
}
