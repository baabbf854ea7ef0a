//! The emulated AWS, called as root: plain HTTP with a header that names root's key, whose secret isn't verified there.
//!
//! It calls what the tool has no client for (IAM, EventBridge, Scheduler, the HTTP API), and takes any answer but the
//! wanted one as the end of the test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

/// The longest wait for one answer: a function that starts afresh is behind some.
const PATIENCE: Duration = Duration::from_secs(60);

/// One region.
#[derive(Clone)]
pub(crate) struct Aws {
    port: u16,
    region: &'static str,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn good(self, what: &str) -> Self {
        assert!(self.status < 300, "{what}: {self:?}");
        self
    }
}

impl Aws {
    pub(crate) fn new(port: u16, region: &'static str) -> Self {
        Self { port, region }
    }

    pub(crate) fn region(&self) -> &'static str {
        self.region
    }

    /// An operation of a service whose protocol is JSON.
    pub(crate) fn call(&self, service: &str, operation: &str, body: &Json) -> Json {
        let (prefix, version) = match service {
            "dynamodb" => ("DynamoDB_20120810", "1.0"),
            "events" => ("AWSEvents", "1.1"),
            "logs" => ("Logs_20140328", "1.1"),
            "secretsmanager" => ("secretsmanager", "1.1"),
            "sqs" => ("AmazonSQS", "1.0"),
            other => panic!("`{other}` has no JSON protocol here"),
        };
        let target = format!("{prefix}.{operation}");
        let kind = format!("application/x-amz-json-{version}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", &kind)];
        self.signed(service, "POST", "/", &headers, &body.to_string()).good(&target).json()
    }

    /// An operation of a service whose protocol is paths, with `headers` besides.
    pub(crate) fn rest(
        &self,
        service: &str,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        let body = body.map(Json::to_string).unwrap_or_default();
        self.signed(service, method, path, &headers, &body).good(path)
    }

    /// An action of IAM; the answer is XML.
    pub(crate) fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let all = [("Action", action), ("Version", "2010-05-08")].into_iter().chain(parameters.iter().copied());
        let form: Vec<String> = all.map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.signed("iam", "POST", "/", &headers, &form.join("&")).good(action).body
    }

    /// What the emulator tells of itself.
    pub(crate) fn local(&self, path: &str) -> Json {
        self.send("GET", path, &[], "").good(path).json()
    }

    /// Tells the emulator to do something.
    pub(crate) fn local_post(&self, path: &str) {
        self.send("POST", path, &[], "").good(path);
    }

    fn signed(&self, service: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let scope = format!("{}/{service}/aws4_request", self.region);
        let signature =
            format!("AWS4-HMAC-SHA256 Credential=test/20260101/{scope}, SignedHeaders=host, Signature=unverified");
        let headers: Vec<_> = headers.iter().copied().chain([("authorization", signature.as_str())]).collect();
        self.send(method, path, &headers, body)
    }

    /// Any request.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(self.port, method, path, headers, body)
    }
}

/// A request to anything on this machine.
pub(crate) fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it serves");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    // Of this version an answer ends with the connection, and comes in one piece.
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{method} {path} has no answer: {error}"));
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), body: body.to_owned() }
}

/// The text between the first `<tag>` and its end.
pub(crate) fn between<'a>(xml: &'a str, tag: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no <{tag}> in {xml}"));
    rest.split_once("</").map(|(text, _)| text).expect("an end")
}

fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                u8::from_str_radix(std::str::from_utf8(&digits).expect("ASCII"), 16).expect("a number")
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}
