mod schema;

use super::*;

fn file(rules: &str) -> String {
    format!(r#"{{"version":7,"every_event":[{rules}],"event_types":{{}}}}"#)
}

fn mistakes(text: &str) -> Vec<String> {
    match RuleSet::parse(text) {
        Ok(_) => Vec::new(),
        Err(RulesError::Mistakes(mistakes)) => mistakes,
        Err(error @ RulesError::Malformed(_)) => panic!("{error:?}"),
    }
}

#[test]
fn the_version_rises_with_every_change_of_the_file() {
    let rules = RuleSet::embedded().expect("good rules");
    let sha256 = "a8fd09843658195ef15a0d1eb1036922a757843f1faaff86fa4d86bc1bbd51fa".to_owned();
    // Whoever changes rules.json raises its `version` and then writes both down here.
    assert_eq!(*rules.id(), RulesId { version: 2, sha256 });
}

#[test]
fn a_types_own_rule_counts_before_the_general_one() {
    let rules = RuleSet::parse(
        r#"{"version":1,"every_event":[{"pointer":"/a","is":"email"},{"pointer":"/b","is":"uuid"}],
            "event_types":{"t":[{"pointer":"/a","required":true},{"pointer":"/c"}]}}"#,
    )
    .expect("good rules");
    let of = |event_type| {
        let rules = rules.of(event_type).iter();
        rules.map(|rule| (rule.pointer.to_string(), rule.required)).collect::<Vec<_>>()
    };
    let told = |pairs: &[(&str, bool)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect::<Vec<_>>();
    assert_eq!(of(Some("t")), told(&[("/b", false), ("/a", true), ("/c", false)]));
    assert_eq!(of(Some("other")), told(&[("/a", false), ("/b", false)]));
    assert_eq!(of(None), of(Some("other")));
}

#[test]
fn wrong_rules_are_refused_with_their_place() {
    for (rules, expected) in [
        (r#"{"pointer":"data"}"#, "every_event, `data`: not a JSON pointer"),
        (r#"{"pointer":""}"#, "fixed rules"),
        (r#"{"pointer":"/timestamp"}"#, "fixed rules"),
        (r#"{"pointer":"/a"},{"pointer":"/a","is":"uuid"}"#, "two rules"),
        (r#"{"pointer":"/a","is":{"text":{"pattern":"("}}}"#, "can't be used as a pattern"),
        (r#"{"pointer":"/a","is":{"text":{"min_length":5,"max_length":4}}}"#, "at least 5 and at most 4"),
        (r#"{"pointer":"/a","is":{"text":{"max_length":65537}}}"#, "at most 65536"),
        (r#"{"pointer":"/a","is":{"text":{"allowed":[]}}}"#, "`allowed` is empty"),
        (r#"{"pointer":"/a","is":{"number":{"minimum":"1"}}}"#, "`minimum` is no number"),
        (r#"{"pointer":"/a","is":{"number":{"minimum":2,"maximum":1.99}}}"#, "above `maximum`"),
    ] {
        let found = mistakes(&file(rules));
        assert!(found.len() == 1 && found[0].contains(expected), "{rules}: {found:?}");
    }
    assert!(mistakes(r#"{"version":0,"every_event":[],"event_types":{}}"#)[0].contains("count from 1"));
    assert!(mistakes(r#"{"version":1,"every_event":[],"event_types":{"no type":[]}}"#)[0].contains("`no type`"));
}

#[test]
fn versions_of_ids_can_only_be_fewer() {
    let of = |versions: &str| {
        let text = format!(r#"{{"version":1,{versions}"every_event":[],"event_types":{{}}}}"#);
        RuleSet::parse(&text).map(|rules| rules.event_id_versions().to_vec())
    };
    assert_eq!(of("").expect("good rules"), [4, 5, 7]);
    assert_eq!(of(r#""event_id_versions":[7],"#).expect("good rules"), [7]);
    for (versions, expected) in [("[]", 1), ("[1]", 1), ("[4,4]", 1), ("[0,8,8]", 4)] {
        match of(&format!(r#""event_id_versions":{versions},"#)) {
            Err(RulesError::Mistakes(mistakes)) => assert_eq!(mistakes.len(), expected, "{versions}: {mistakes:?}"),
            other => panic!("{versions}: {other:?}"),
        }
    }
}

#[test]
fn an_address_is_no_other_kind_of_value() {
    let with_geo = |geo: &str, rule: &str| {
        mistakes(&format!(r#"{{"version":1,"geo":{geo},"every_event":[],"event_types":{{"t":[{rule}]}}}}"#))
    };
    let at_data = r#"{"address":"/data/ip"}"#;
    for rule in ["", r#"{"pointer":"/data/ip","required":true}"#, r#"{"pointer":"/data/ip","is":"ip_address"}"#] {
        assert_eq!(with_geo(at_data, rule), Vec::<String>::new(), "{rule}");
    }
    for (geo, rule, expected) in [
        (at_data, r#"{"pointer":"/data/ip","is":{"text":{"pattern":"1.*"}}}"#, "something else than `anything`"),
        (at_data, r#"{"pointer":"/data/ip","is":"email"}"#, "something else than `anything`"),
        (r#"{"address":"data"}"#, "", "geo, `data`: not a JSON pointer"),
        (r#"{"address":""}"#, "", "no addresses"),
        (r#"{"address":"/event_id"}"#, "", "no addresses"),
    ] {
        let found = with_geo(geo, rule);
        assert!(found.len() == 1 && found[0].contains(expected), "{geo} {rule}: {found:?}");
    }
    for geo in [r#"{}"#, r#"{"address":"/a","keep":true}"#, r#"{"address":"/a","keep_address":"no"}"#] {
        let text = format!(r#"{{"version":1,"geo":{geo},"every_event":[],"event_types":{{}}}}"#);
        assert!(matches!(RuleSet::parse(&text), Err(RulesError::Malformed(_))), "{geo}");
    }
}

#[test]
fn all_mistakes_at_once() {
    assert_eq!(mistakes(&file(r#"{"pointer":"a"},{"pointer":"b"},{"pointer":"/timestamp"}"#)).len(), 3);
}

#[test]
fn unknown_words_are_refused() {
    for rules in [
        r#"{"pointer":"/a","requires":true}"#,
        r#"{"pointer":"/a","is":"url"}"#,
        r#"{"pointer":"/a","is":{"text":{"pattern":"a","length":1}}}"#,
        r#"{"pointer":"/a","is":{"number":{"min":1}}}"#,
        r#"{"required":true}"#,
    ] {
        assert!(matches!(RuleSet::parse(&file(rules)), Err(RulesError::Malformed(_))), "{rules}");
    }
}

#[test]
fn names_of_event_types() {
    for good in ["a", "customer.registered", "Order_placed-2", &"x".repeat(128)] {
        assert!(is_event_type(good), "{good}");
    }
    for bad in ["", "1a", ".a", "a b", "a/b", "é", &"x".repeat(129)] {
        assert!(!is_event_type(bad), "{bad}");
    }
}
