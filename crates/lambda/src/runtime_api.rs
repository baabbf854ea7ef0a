//! The Runtime API: the next event, and its answer or error
//! (Lambda developer guide, "Using the Lambda runtime API for custom runtimes", read 2026-11).

use std::io;

use lambda_runtime::Diagnostic;

use crate::connection::Connection;
use crate::response::Response;

/// What an invocation is told apart by, and until when it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    /// Milliseconds since 1970.
    pub(crate) deadline_millis: u64,
    pub(crate) function_arn: String,
    pub(crate) trace_id: Option<String>,
    /// Newer platforms send it and want it back with the answer, so that an answer that comes too late is told apart.
    invocation_id: Option<String>,
}

/// The Runtime API can't be spoken to. The process can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address is missing.
    #[error("`AWS_LAMBDA_RUNTIME_API` is missing; Lambda sets it for every function")]
    NoRuntimeApi,
    /// The connection failed, also a new one.
    #[error("the Runtime API at `{address}` can't be spoken to")]
    Connection {
        /// Where it is.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// It answered with an error when it was asked for an event.
    #[error("the Runtime API answered with {status} instead of an event")]
    NoEvent {
        /// The HTTP status.
        status: u16,
    },
    /// An event lacks what it must have.
    #[error("an event came without a header `{name}` that can be read")]
    NoHeader {
        /// The header.
        name: &'static str,
    },
}

/// The Runtime API of one process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    connection: Connection,
    /// Kept from request to request, so that its memory is.
    request: Vec<u8>,
}

const REQUEST_ID: &str = "Lambda-Runtime-Aws-Request-Id";
const DEADLINE: &str = "Lambda-Runtime-Deadline-Ms";
const FUNCTION_ARN: &str = "Lambda-Runtime-Invoked-Function-Arn";
const TRACE_ID: &str = "Lambda-Runtime-Trace-Id";
const INVOCATION_ID: &str = "Lambda-Runtime-Invocation-Id";

/// The headers that every request has but its host and its length.
const COMMON: &str = "User-Agent: tandem\r\n";

impl RuntimeApi {
    pub(crate) fn new(address: &str) -> Self {
        Self { connection: Connection::to(address), request: Vec::with_capacity(4 * 1024) }
    }

    /// Waits for the next event, for ever if there is none.
    pub(crate) fn next(&mut self) -> Result<(Invocation, &[u8]), Error> {
        let address = self.connection.address();
        let head = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {address}\r\n{COMMON}\r\n");
        let response = loop {
            let response = self.connection.exchange(head.as_bytes()).map_err(|source| self.failed(source))?;
            match response.status {
                200 => break response,
                // No event for now: some stand-ins for Lambda answer so now and then.
                204 => {}
                status => return Err(Error::NoEvent { status }),
            }
        };
        Ok((invocation(&response, self.connection.received())?, self.connection.body(&response)))
    }

    /// Answers an invocation with `answer`, which is JSON.
    pub(crate) fn respond(&mut self, invocation: &Invocation, answer: &[u8]) -> Result<(), Error> {
        self.post(invocation, "response", "", answer)
    }

    /// Ends an invocation with an error.
    pub(crate) fn fail(&mut self, invocation: &Invocation, diagnostic: &Diagnostic) -> Result<(), Error> {
        let body = serde_json::to_vec(diagnostic).unwrap_or_default();
        self.post(invocation, "error", "Lambda-Runtime-Function-Error-Type: unhandled\r\n", &body)
    }

    fn post(&mut self, invocation: &Invocation, what: &str, header: &str, body: &[u8]) -> Result<(), Error> {
        use io::Write as _;
        let (id, address) = (&invocation.request_id, self.connection.address());
        self.request.clear();
        // Writing to a vector cannot fail.
        let _ = write!(
            self.request,
            "POST /2018-06-01/runtime/invocation/{id}/{what} HTTP/1.1\r\nHost: {address}\r\n{COMMON}{header}\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        if let Some(id) = &invocation.invocation_id {
            let _ = write!(self.request, "{INVOCATION_ID}: {id}\r\n");
        }
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
        let response = self.connection.exchange(&self.request).map_err(|source| self.failed(source))?;
        if !(200..300).contains(&response.status) {
            // Too large, or too late. Lambda has told the caller by then; the next invocation may go well.
            let text = String::from_utf8_lossy(self.connection.body(&response));
            let status = response.status;
            tracing::error!(request_id = id, status, answer = &*text, "Lambda did not take what an invocation gave");
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Connection { address: self.connection.address().to_owned(), source }
    }
}

fn invocation(response: &Response, bytes: &[u8]) -> Result<Invocation, Error> {
    let text = |name: &'static str| response.header(bytes, name).ok_or(Error::NoHeader { name });
    let owned = |name: &str| response.header(bytes, name).map(ToOwned::to_owned);
    Ok(Invocation {
        request_id: text(REQUEST_ID)?.to_owned(),
        deadline_millis: text(DEADLINE)?.parse().map_err(|_| Error::NoHeader { name: DEADLINE })?,
        function_arn: owned(FUNCTION_ARN).unwrap_or_default(),
        trace_id: owned(TRACE_ID),
        invocation_id: owned(INVOCATION_ID),
    })
}
