//! Lambda's loop: asks for an event, has it handled, answers, and asks again.
//!
//! The types are those of AWS's `lambda_runtime`; the loop is not. That one speaks to the Runtime API through a pooled
//! asynchronous client under several layers, which costs a small function more than its own work. Here it is a plain socket
//! on the function's one thread: **while there is no event, the thread sleeps in the kernel, and nothing else runs.**
//! Lambda freezes a function at that point anyway. Tasks that a handler left behind, such as idle connections to AWS, go
//! on with the next event.
//!
//! As with the original, an error or a panic of a handler becomes an error of its one invocation, and a Runtime API that
//! can't be spoken to ends the process, which Lambda then replaces.
//! Not here, because no function of this workspace uses it: answers as streams, several events at a time in one process,
//! snapshots, the client context of mobile SDKs, and `_X_AMZN_TRACE_ID` as a variable (the trace is in the context).

mod connection;
mod response;
mod runtime_api;

use std::any::Any;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use lambda_runtime::{Config, Context, Diagnostic, LambdaEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

pub use crate::runtime_api::Error;
use crate::runtime_api::{Invocation, RuntimeApi};

/// The variable that says where the Runtime API is.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Has `handler` handle one event after the other; comes back only with an error.
///
/// It blocks its thread while it waits: use it on a runtime of one thread.
///
/// # Errors
/// When the Runtime API can't be spoken to.
///
/// # Panics
/// When a variable is missing that Lambda sets for every function.
pub async fn run<E, A, F>(handler: impl AsyncFn(LambdaEvent<E>) -> Result<A, F>) -> Result<(), Error>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Into<Diagnostic> + Debug,
{
    let address = std::env::var(RUNTIME_API).map_err(|_| Error::NoRuntimeApi)?;
    serve(&address, Config::from_env(), handler).await
}

/// The same for a Runtime API at `address` and a function that is configured like this.
///
/// # Errors
/// When the Runtime API can't be spoken to.
pub async fn serve<E, A, F>(
    address: &str,
    config: Config,
    handler: impl AsyncFn(LambdaEvent<E>) -> Result<A, F>,
) -> Result<(), Error>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Into<Diagnostic> + Debug,
{
    let config = Arc::new(config);
    let mut runtime_api = RuntimeApi::new(address);
    loop {
        let (invocation, event) = runtime_api.next()?;
        let answer = match serde_json::from_slice(event) {
            Ok(event) => handled(&handler, LambdaEvent::new(event, context(&invocation, &config))).await,
            Err(error) => Err(Diagnostic {
                error_type: "MalformedEvent".to_owned(),
                error_message: format!("the event is of another form than this function expects: {error}"),
            }),
        };
        match answer {
            Ok(answer) => runtime_api.respond(&invocation, &answer)?,
            Err(diagnostic) => {
                let Diagnostic { error_type, error_message } = &diagnostic;
                let Invocation { request_id, trace_id: xray_trace_id, .. } = &invocation;
                tracing::error!(request_id, xray_trace_id, error_type, error_message, "the invocation failed");
                runtime_api.fail(&invocation, &diagnostic)?;
            }
        }
        let_tasks_finish().await;
    }
}

/// The answer as JSON, or what the handler or its panic says.
async fn handled<E, A, F>(
    handler: &impl AsyncFn(LambdaEvent<E>) -> Result<A, F>,
    event: LambdaEvent<E>,
) -> Result<Vec<u8>, Diagnostic>
where
    A: Serialize,
    F: Into<Diagnostic>,
{
    // What a handler shares between invocations is behind locks and atomics, which a panic leaves usable.
    match AssertUnwindSafe(async { handler(event).await }).catch_unwind().await {
        Ok(Ok(answer)) => serde_json::to_vec(&answer).map_err(|error| Diagnostic {
            error_type: "UnserializableAnswer".to_owned(),
            error_message: format!("the answer can't be written as JSON: {error}"),
        }),
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => {
            let error_message = format!("the handler panicked: {}", text_of(&*panic));
            Err(Diagnostic { error_type: "Panic".to_owned(), error_message })
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

fn context(invocation: &Invocation, config: &Arc<Config>) -> Context {
    let mut context = Context::default();
    context.request_id.clone_from(&invocation.request_id);
    context.deadline = invocation.deadline_millis;
    context.invoked_function_arn.clone_from(&invocation.function_arn);
    context.xray_trace_id.clone_from(&invocation.trace_id);
    context.env_config = Arc::clone(config);
    context
}

/// Lets the tasks that the handler left behind do what they can do at once: a connection whose answer was read goes back to
/// its pool, where the next event finds it. The answer is on its way by then.
async fn let_tasks_finish() {
    if Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}
