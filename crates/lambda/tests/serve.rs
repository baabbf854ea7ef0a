//! The loop against a Runtime API that follows a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use lambda_runtime::{Config, Diagnostic, LambdaEvent};
use serde_json::{Value, json};

/// A Runtime API that gives one answer after the other and then goes away.
struct Script {
    address: String,
    requests: JoinHandle<Vec<Request>>,
}

/// What came: the first line, the header lines in small letters, and the body.
struct Request {
    line: String,
    headers: Vec<String>,
    body: String,
}

impl Script {
    fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = thread::spawn(move || {
            let (mut requests, mut answers) = (Vec::new(), answers.into_iter());
            'connections: while let Some(mut answer) = answers.next() {
                let stream = listener.accept().expect("a client").0;
                let mut reader = BufReader::new(stream.try_clone().expect("one more handle"));
                // Closed without a word: as a connection that was kept too long.
                while answer != CLOSED {
                    requests.push(read(&mut reader));
                    (&stream).write_all(answer.as_bytes()).expect("somebody reads");
                    match answers.next() {
                        Some(next) => answer = next,
                        None => break 'connections,
                    }
                }
            }
            requests
        });
        Self { address, requests }
    }

    /// What was asked for, once the loop has ended for want of a Runtime API.
    fn requests(self) -> Vec<Request> {
        self.requests.join().expect("the script is followed")
    }
}

const CLOSED: &str = "";

fn read(reader: &mut BufReader<TcpStream>) -> Request {
    let mut lines = reader.by_ref().lines().map(|line| line.expect("text")).take_while(|line| !line.is_empty());
    let line = lines.next().expect("a request");
    let headers: Vec<String> = lines.map(|line| line.to_ascii_lowercase()).collect();
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("a body");
    Request { line, headers, body: String::from_utf8(body).expect("text") }
}

fn event(id: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: 1700000000123\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:x\r\nLambda-Runtime-Trace-Id: Root=1\r\n\
         Lambda-Runtime-Invocation-Id: inv-{id}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn taken() -> String {
    "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned()
}

/// Doubles `n`; fails or panics when the event says so.
async fn double(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let (event, context) = event.into_parts();
    match event["do"].as_str() {
        Some("fail") => Err(Diagnostic { error_type: "Odd".to_owned(), error_message: "told to".to_owned() }),
        Some("panic") => panic!("told to"),
        _ => Ok(json!({
            "double": event["n"].as_u64().map(|n| n * 2),
            "deadline": context.deadline,
            "trace": context.xray_trace_id,
            "function": context.env_config.function_name,
        })),
    }
}

/// Serves until the script ends; gives what the loop ended with and what it asked for.
fn served(answers: Vec<String>) -> (lambda::Error, Vec<Request>) {
    let script = Script::start(answers);
    let config = Config { function_name: "tandem-test".to_owned(), ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(lambda::serve(&script.address, config, double)).expect_err("it has an end");
    (ended, script.requests())
}

fn bodies(requests: &[Request]) -> Vec<Value> {
    let posts = requests.iter().filter(|request| request.line.starts_with("POST"));
    posts.map(|request| serde_json::from_str(&request.body).expect("JSON")).collect()
}

#[test]
fn each_event_is_answered_under_its_id() {
    let (_, requests) = served(vec![event("a", r#"{"n":2}"#), taken(), event("b", r#"{"n":3}"#), taken()]);
    let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
    let expected = [
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1",
        "POST /2018-06-01/runtime/invocation/a/response HTTP/1.1",
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1",
        "POST /2018-06-01/runtime/invocation/b/response HTTP/1.1",
    ];
    assert_eq!(lines, expected);
    assert!(requests[1].headers.contains(&"lambda-runtime-invocation-id: inv-a".to_owned()));
    let answer = &bodies(&requests)[0];
    assert_eq!(
        *answer,
        json!({ "double": 4, "deadline": 1_700_000_000_123_u64, "trace": "Root=1", "function": "tandem-test" })
    );
    assert_eq!(bodies(&requests)[1]["double"], 6);
}

#[test]
fn errors_panics_and_malformed_events_end_one_invocation_and_no_more() {
    let events = [r#"{"do":"fail"}"#, r#"{"do":"panic"}"#, "{nonsense", r#"{"n":1}"#];
    let answers = events.iter().flat_map(|body| [event("e", body), taken()]).collect();
    let (_, requests) = served(answers);
    let posts: Vec<&Request> = requests.iter().filter(|request| request.line.starts_with("POST")).collect();
    let paths: Vec<&str> = posts.iter().map(|post| post.line.split(['/', ' ']).nth(6).expect("a path")).collect();
    assert_eq!(paths, ["error", "error", "error", "response"]);
    let bodies = bodies(&requests);
    assert_eq!(bodies[0], json!({ "errorType": "Odd", "errorMessage": "told to" }));
    assert_eq!(bodies[1], json!({ "errorType": "Panic", "errorMessage": "the handler panicked: told to" }));
    assert_eq!(bodies[2]["errorType"], "MalformedEvent");
    assert_eq!(bodies[3]["double"], 2);
    assert!(posts[0].headers.contains(&"lambda-runtime-function-error-type: unhandled".to_owned()));
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_opened_anew() {
    let closing = |text: String| text.replace("\r\nContent-Length", "\r\nConnection: close\r\nContent-Length");
    let (_, requests) = served(vec![
        event("a", r#"{"n":1}"#),
        CLOSED.to_owned(),
        taken(),
        closing(event("b", r#"{"n":2}"#)),
        CLOSED.to_owned(),
        taken(),
    ]);
    let doubles: Vec<Value> = bodies(&requests).iter().map(|body| body["double"].clone()).collect();
    assert_eq!(doubles, [2, 4]);
}

#[test]
fn no_event_for_now_is_asked_for_again_and_an_error_ends_the_loop() {
    let (error, requests) = served(vec![
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ]);
    assert!(matches!(error, lambda::Error::NoEvent { status: 500 }), "{error}");
    assert_eq!(requests.len(), 2);
    let (error, _) = served(vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned()]);
    assert!(matches!(error, lambda::Error::NoHeader { .. }), "{error}");
}

#[test]
fn an_answer_that_is_not_taken_costs_that_invocation_only() {
    for status in ["413 Too Large", "400 Late"] {
        let refused = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nbig");
        let (_, requests) = served(vec![event("a", r#"{"n":1}"#), refused, event("b", r#"{"n":2}"#), taken()]);
        assert_eq!(bodies(&requests).len(), 2, "{status}");
    }
}

#[test]
fn what_a_handler_left_behind_goes_on_before_the_thread_sleeps() {
    let script = Script::start(vec![event("a", r#"{"n":1}"#), taken()]);
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    let handler = async move |event: LambdaEvent<Value>| {
        let done = Arc::clone(&done);
        tokio::spawn(async move { done.store(true, Ordering::Relaxed) });
        double(event).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(lambda::serve(&script.address, Config::default(), handler)).expect_err("it has an end");
    assert!(is_done.load(Ordering::Relaxed));
    assert_eq!(script.requests().len(), 2);
}
