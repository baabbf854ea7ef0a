//! How CloudFormation's names become Rust names.

/// Words of a name: `KMSMasterKeyId` is `KMS`, `Master`, `Key`, `Id`.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut current = String::new();
    for (index, &character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            if !current.is_empty() {
                words.push(std::mem::take(&mut current));
            }
            continue;
        }
        let previous = index.checked_sub(1).map(|at| characters[at]);
        let next = characters.get(index + 1).copied();
        let after_small = previous.is_some_and(|one| one.is_ascii_lowercase() || one.is_ascii_digit());
        // The last capital of a run starts the next word, except in plural acronyms such as `ARNs`.
        let plural = next == Some('s') && characters.get(index + 2).is_none_or(char::is_ascii_uppercase);
        let ends_run = previous.is_some_and(|one| one.is_ascii_uppercase())
            && next.is_some_and(|one| one.is_ascii_lowercase())
            && !plural;
        if character.is_ascii_uppercase() && (after_small || ends_run) && !current.is_empty() {
            words.push(std::mem::take(&mut current));
        }
        current.push(character);
    }
    if !current.is_empty() {
        words.push(current);
    }
    words
}

/// Names of products and units that splitting at capitals tears apart.
const TORN: [(&str, &str); 11] = [
    ("cloud_watch", "cloudwatch"),
    ("d_do_s", "ddos"),
    ("dynamo_db", "dynamodb"),
    ("gi_b", "gib"),
    ("graph_ql", "graphql"),
    ("i_pv", "ipv"),
    ("mi_b", "mib"),
    ("open_id", "openid"),
    ("prom_ql", "promql"),
    ("v_cpu", "vcpu"),
    ("document_db", "documentdb"),
];

/// `KMSMasterKeyId` is `kms_master_key_id`; Rust's keywords get a final underscore.
pub(crate) fn snake(name: &str) -> String {
    let mut snake = words(name).join("_").to_lowercase();
    for (torn, whole) in TORN {
        snake = snake.replace(torn, whole);
    }
    const KEYWORDS: [&str; 14] =
        ["as", "box", "const", "enum", "fn", "for", "if", "in", "loop", "match", "mod", "ref", "type", "use"];
    if KEYWORDS.contains(&snake.as_str()) {
        snake.push('_');
    }
    snake
}

/// A Rust type name out of a definition's or property's name: as it is, but starting with a capital.
pub(crate) fn pascal(name: &str) -> String {
    let clean: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut characters = clean.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// A variant out of an enum's value: `PAY_PER_REQUEST` is `PayPerRequest`, `python3.12` is `Python3_12`.
pub(crate) fn variant(value: &str) -> String {
    let mut variant = String::new();
    for word in words(value) {
        let touching =
            variant.ends_with(|one: char| one.is_ascii_digit()) && word.starts_with(|one: char| one.is_ascii_digit());
        if touching {
            variant.push('_');
        }
        let mut characters = word.chars();
        variant.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        variant.push_str(&characters.as_str().to_lowercase());
    }
    match variant.chars().next() {
        None => "Empty".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("V{variant}"),
        Some(_) => variant,
    }
}

/// Name of one item of a list property: `Targets` holds `Target`.
pub(crate) fn singular(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ies") {
        return format!("{stem}y");
    }
    match name.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => name.to_owned(),
    }
}

/// A Rust string literal.
pub(crate) fn literal(text: &str) -> String {
    format!("{text:?}")
}
