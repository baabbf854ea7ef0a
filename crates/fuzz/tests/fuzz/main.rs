//! Parsers of what comes from outside, held to the same three promises: each has a result or an error for any bytes and for
//! damaged samples, without a panic, and it uses no more memory than a multiple of its input. Which are left out, and what
//! the bounds don't say, is told in `docs/semantics.md`, "Whatever comes in".
//!
//! A new parser is one line in the list below, a [`parser::Parser`] in one of the modules, and samples in `corpus/`.
//! One binary for all of them, with an allocator that counts. What zstd's C code allocates isn't counted; it unpacks here
//! only in one call into a place that is there already, for which it needs no window.

mod api;
mod files;
mod letters;
mod parser;
mod qlik;
mod runtime_api;
mod samples;
mod streams;
mod tokens;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

macro_rules! parsers {
    ($($parser:ident: $module:ident::$what:ident,)*) => {
        $(mod $parser {
            #[test]
            fn samples_are_taken() {
                crate::$module::$what.takes_its_samples();
            }

            #[test]
            fn any_bytes_are_handled() {
                crate::$module::$what.handles_any_bytes();
            }

            #[test]
            fn damaged_samples_are_handled() {
                crate::$module::$what.handles_damaged_samples();
            }

            #[test]
            fn memory_is_bounded() {
                crate::$module::$what.bounds_its_memory();
            }
        })*
    };
}

parsers! {
    stream_record: streams::RECORD,
    stream_batch: streams::BATCH,
    router_batch: streams::ROUTER_BATCH,
    row: streams::ROW,
    authority: streams::AUTHORITY,
    domain_event: letters::DOMAIN_EVENT,
    envelope: letters::ENVELOPE,
    dead_letter: letters::DEAD_LETTER,
    health_check: letters::HEALTH_CHECK,
    qlik_value: qlik::VALUE,
    qlik_key: qlik::KEY,
    qlik_json_value: qlik::JSON_VALUE,
    qlik_json_key: qlik::JSON_KEY,
    qlik_schema_header: qlik::SCHEMA_HEADER,
    qlik_metadata: qlik::METADATA,
    avro_schema: qlik::SCHEMA,
    registry_answer: qlik::REGISTRY_ANSWER,
    raw_event: api::RAW_EVENT,
    message_batch: api::BATCH,
    rules: api::RULES,
    geo_database: api::GEO_DATABASE,
    authorizer_event: tokens::EVENT,
    token: tokens::TOKEN,
    key_set: tokens::KEY_SET,
    environment: files::ENVIRONMENT,
    guard_file: files::GUARD_FILE,
    runtime_api_response: runtime_api::RESPONSE,
}

/// Runs what waits for something.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn region(name: &str) -> events::Region {
    events::Region::new(name).expect("a region")
}

/// What a parser of texts gets: bytes that are no UTF-8 are replaced as a decoder does.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// An invocation with a minute left.
fn invocation<E>(event: E) -> lambda_runtime::LambdaEvent<E> {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    let mut context = lambda_runtime::Context::default();
    let deadline = (SystemTime::now() + Duration::from_secs(60)).duration_since(UNIX_EPOCH).expect("after 1970");
    context.deadline = u64::try_from(deadline.as_millis()).expect("in range");
    lambda_runtime::LambdaEvent::new(event, context)
}
