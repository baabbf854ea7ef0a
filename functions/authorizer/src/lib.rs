//! The authorizer: decides by a JSON Web Token whether a request to the API goes on, and tells who makes it.
//!
//! One decision shapes this crate: **only a token that was checked completely lets a request pass.** A token that is wrong is
//! refused; a good token opens what its roles are granted and nothing else; a failure of the function's own (the secret or the
//! issuer's keys can't be had) is an error, which API Gateway answers with 500. A network is needed only when keys are old.
//!
//! | what | REST API, HTTP API 1.0 | HTTP API 2.0 |
//! |---|---|---|
//! | a good token for a granted route | policy | yes, or policy |
//! | a good token for another route | policy that leaves it out, or denies all: 403 | no: 403 |
//! | a token that is malformed, forged or over | `Unauthorized`: 401 | 403 or 401, by `TOKEN_REFUSAL` |
//! | a failure of its own | error: 500 | error: 500 |
//!
//! Neither tokens nor what they say about a person are logged. The API's own Lambda integrations are told user, roles and
//! tenant in the answer's context. The integration that puts events onto the bus carries the request's body only: an event
//! doesn't say who sent it.

pub mod answer;
pub mod claims;
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

use crate::answer::Answer;
use crate::claims::Caller;
use crate::clock::Clock;
use crate::event::{AuthorizationRequest, Question, UnknownEvent};
use crate::public_keys::FetchKeys;
use crate::verify::{KeysWithoutIssuer, Verifier, VerifyError};
use aws::secrets::ReadSecret;
use contracts::{Authorizer, BadToken, Grants, HttpAnswer};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use std::error::Error;
use std::io::Write;
use telemetry::invocation::{Ending, Invocation};

pub use crate::kept::NoKeys;

/// The function, over its ports.
pub struct Handler<S, F, C> {
    verifier: Verifier<S, F, C>,
    grants: Grants,
    http_answer: HttpAnswer,
    bad_token: BadToken,
}

impl<S: ReadSecret, F: FetchKeys, C: Clock> Handler<S, F, C> {
    /// A handler that lets pass whom the issuers in `config` have given a token, to where its grants say.
    ///
    /// # Errors
    /// When there are keys of no issuer, or an issuer has none.
    pub fn new(config: Authorizer, secret: S, keys: Option<F>, clock: C) -> Result<Self, KeysWithoutIssuer> {
        let (grants, settings) = (config.grants.clone(), &config.settings);
        let (http_answer, bad_token) = (settings.http_answer, settings.bad_token);
        Ok(Self { verifier: Verifier::new(config, secret, keys, clock)?, grants, http_answer, bad_token })
    }

    /// Fetches all keys, so that the first request needn't. Gives what could not be had, which the first request that needs
    /// it tries again.
    pub async fn prepare(&self) -> Vec<NoKeys> {
        self.verifier.prepare().await
    }

    /// Decides on one request. `metrics` is stdout in Lambda.
    ///
    /// # Errors
    /// [`NoAnswer::Unauthorized`] is how an API is told to answer 401. The others mean that nothing was decided, and API
    /// Gateway answers 500.
    pub async fn handle(
        &self,
        event: LambdaEvent<AuthorizationRequest>,
        metrics: &mut impl Write,
    ) -> Result<Answer, NoAnswer> {
        let (request, context) = event.into_parts();
        let invocation = Invocation::begin(&context.env_config.function_name);
        let answer = self.decide(&request, &context).await;
        let ending = match &answer {
            Ok(_) | Err(NoAnswer::Unauthorized) => Ending::Complete,
            Err(NoAnswer::UnknownEvent(_) | NoAnswer::NoKeys(_)) => Ending::Failed,
        };
        invocation.end(ending, metrics);
        answer
    }

    async fn decide(&self, request: &AuthorizationRequest, context: &Context) -> Result<Answer, NoAnswer> {
        let Context { request_id, xray_trace_id, .. } = context;
        let asked = request.question(self.http_answer);
        let question = asked.inspect_err(|_| telemetry::AUTHORIZATIONS_TOTAL.inc(&["failed"]))?;
        // Boxed, because the compiler gives up on a future that contains all those below it.
        match Box::pin(self.caller(request)).await {
            Ok(caller) => {
                let answer = Answer::for_caller(caller, &question, &self.grants);
                let outcome = if answer.allows() { "allowed" } else { "forbidden" };
                telemetry::AUTHORIZATIONS_TOTAL.inc(&[outcome]);
                Ok(answer)
            }
            Err(VerifyError::Refused(refusal)) => {
                telemetry::AUTHORIZATIONS_TOTAL.inc(&[refusal.class()]);
                tracing::info!(request_id, xray_trace_id, refusal = refusal.class(), "a request is refused");
                self.refuse(request, &question)
            }
            Err(VerifyError::NoKeys(error)) => {
                telemetry::AUTHORIZATIONS_TOTAL.inc(&["failed"]);
                tracing::error!(
                    request_id,
                    xray_trace_id,
                    error = &error as &dyn Error,
                    "a request could not be decided on"
                );
                Err(error.into())
            }
        }
    }

    async fn caller(&self, request: &AuthorizationRequest) -> Result<Caller, VerifyError> {
        self.verifier.caller(request.authorization()?).await
    }

    /// What the bearer of a bad token is answered, which is the same whatever is wrong with it.
    fn refuse(&self, request: &AuthorizationRequest, question: &Question) -> Result<Answer, NoAnswer> {
        match self.bad_token {
            BadToken::Forbidden if request.is_format_2() => Ok(Answer::refuse(question)),
            BadToken::Forbidden | BadToken::Unauthorized => Err(NoAnswer::Unauthorized),
        }
    }
}

/// Why an invocation ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The token is refused, and the caller is to be told 401. The text is what API Gateway makes a 401 of, letter by letter.
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
