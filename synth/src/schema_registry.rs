//! Registering schemas at a Schema Registry.

use std::time::Duration;

use hyper::Method;

use crate::error::Error;
use crate::local::http;

/// The longest that the registry may take for one answer.
const REGISTRY_LIMIT: Duration = Duration::from_secs(10);

/// Registers a schema under a subject; gives its id, the old one when it was registered before.
pub(crate) async fn register(registry: &str, subject: &str, schema: &str) -> Result<u32, Error> {
    let url = format!("{}/subjects/{subject}/versions", registry.trim_end_matches('/'));
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::remote(format!("the Schema Registry does not register a schema at {url}"))
            .caused_by(source)
            .hint("see `synth status`")
    };
    let body = serde_json::json!({ "schema": schema }).to_string().into_bytes();
    let answer = http::send(Method::POST, &url, None, body, REGISTRY_LIMIT).await;
    let answer = answer.map_err(|error| failed(error.into()))?;
    if !answer.status.is_success() {
        return Err(failed(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into()));
    }
    #[derive(serde::Deserialize)]
    struct Registered {
        id: u32,
    }
    let registered: Registered = serde_json::from_slice(&answer.body).map_err(|error| failed(error.into()))?;
    Ok(registered.id)
}
