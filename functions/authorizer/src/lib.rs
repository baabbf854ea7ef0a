//! The authorizer: decides by a JSON Web Token whether a request to the API goes on, and tells who makes it.
//!
//! One decision shapes this crate: **only a token that was checked completely lets a request pass.** A token that is wrong is
//! refused; a failure of the function's own (the secret or the issuer's keys can't be had) is an error, which API Gateway
//! answers with 500. A network is needed only when keys are old.
//!
//! Neither tokens nor what they say about a person are logged. The API's own Lambda integrations are told user, roles and
//! tenant in the answer's context. The integration that puts events onto the bus carries the request's body only: an event
//! doesn't say who sent it.

pub mod clock;
mod crypto;
pub mod event;
mod kept;
pub mod key_server;
pub mod public_keys;
pub mod refusal;
pub mod secret_keys;
pub mod token;
pub mod verify;

use crate::clock::Clock;
use crate::event::{Answer, AuthorizationRequest, Form, UnknownEvent};
use crate::public_keys::FetchKeys;
use crate::token::Caller;
use crate::verify::{Verifier, VerifyError};
use aws::secrets::ReadSecret;
use lambda_runtime::{Diagnostic, LambdaEvent};
use std::error::Error;
use std::io::Write;
use telemetry::invocation::{Ending, Invocation};

pub use crate::kept::NoKeys;

/// The function, over its ports.
pub struct Handler<S, F, C> {
    verifier: Verifier<S, F, C>,
}

impl<S: ReadSecret, F: FetchKeys, C: Clock> Handler<S, F, C> {
    /// A handler that lets pass whom `verifier` knows.
    pub fn new(verifier: Verifier<S, F, C>) -> Self {
        Self { verifier }
    }

    /// Decides on one request. `metrics` is stdout in Lambda.
    ///
    /// # Errors
    /// [`NoAnswer::Unauthorized`] is how a REST API is told to answer 401. The others mean that nothing was decided, and API
    /// Gateway answers 500.
    pub async fn handle(
        &self,
        event: LambdaEvent<AuthorizationRequest>,
        metrics: &mut impl Write,
    ) -> Result<Answer, NoAnswer> {
        let (request, context) = event.into_parts();
        let invocation = Invocation::begin(&context.env_config.function_name);
        let answer = self.decide(&request, &context.request_id).await;
        let ending = match &answer {
            Ok(_) | Err(NoAnswer::Unauthorized) => Ending::Complete,
            Err(NoAnswer::UnknownEvent(_) | NoAnswer::NoKeys(_)) => Ending::Failed,
        };
        invocation.end(ending, metrics);
        answer
    }

    async fn decide(&self, request: &AuthorizationRequest, request_id: &str) -> Result<Answer, NoAnswer> {
        let form = request.form().inspect_err(|_| telemetry::AUTHORIZATIONS_TOTAL.inc(&["failed"]))?;
        match self.caller(request).await {
            Ok(caller) => {
                telemetry::AUTHORIZATIONS_TOTAL.inc(&["allowed"]);
                Ok(Answer::allow(caller, form))
            }
            Err(VerifyError::Refused(refusal)) => {
                telemetry::AUTHORIZATIONS_TOTAL.inc(&[refusal.class()]);
                tracing::info!(request_id, refusal = refusal.class(), "a request is refused");
                match form {
                    Form::Simple => Ok(Answer::refuse()),
                    Form::Policy { .. } => Err(NoAnswer::Unauthorized),
                }
            }
            Err(VerifyError::NoKeys(error)) => {
                telemetry::AUTHORIZATIONS_TOTAL.inc(&["failed"]);
                tracing::error!(request_id, error = &error as &dyn Error, "a request could not be decided on");
                Err(error.into())
            }
        }
    }

    async fn caller(&self, request: &AuthorizationRequest) -> Result<Caller, VerifyError> {
        self.verifier.caller(request.authorization()?).await
    }
}

/// Why an invocation ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The token is refused, and a REST API asked. The text is what API Gateway makes a 401 of, letter by letter.
    #[error("Unauthorized")]
    Unauthorized,
    /// The event is of no kind that is understood.
    #[error(transparent)]
    UnknownEvent(#[from] UnknownEvent),
    /// Keys were not to be had.
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
}

impl From<NoAnswer> for Diagnostic {
    fn from(error: NoAnswer) -> Self {
        let error_type = match &error {
            NoAnswer::Unauthorized => "Unauthorized",
            NoAnswer::UnknownEvent(_) => "UnknownEvent",
            NoAnswer::NoKeys(_) => "NoKeys",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}
