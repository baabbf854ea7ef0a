//! What Lambda's Runtime API answers, over a socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lambda_runtime::{Config, LambdaEvent};
use serde_json::Value;

use crate::block_on;
use crate::parser::Parser;

/// The first answer; after it the other side is gone. Valid is what the handler gets an event of.
pub(crate) const RESPONSE: Parser = Parser {
    corpus: &["corpus/runtime_api_response"],
    parse: |bytes| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let is_handled = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(move || answer_once(&listener, bytes));
            let handler = async |event: LambdaEvent<Value>| {
                is_handled.store(true, Ordering::Relaxed);
                Ok::<_, lambda_runtime::Error>(event.payload)
            };
            block_on(lambda::serve(&address, Config::default(), handler)).expect_err("the other side goes away");
        });
        is_handled.into_inner()
    },
    // At most 32 MiB are read, by a buffer that doubles; a copy is made while it does.
    memory: [2 * 1024 * 1024, 60],
    hostile: || {
        let head = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\nLambda-Runtime-Deadline-Ms: 1\r\n";
        let max = u64::MAX;
        let mut answers = vec![
            format!("{head}Content-Length: 1000002\r\n\r\n\"{}\"", "a".repeat(1_000_000)),
            format!("{head}X: {}", "a".repeat(2_000_000)),
            format!("{head}{}", "X: a\r\n".repeat(300_000)),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", "1\r\n0\r\n".repeat(200_000)),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n{}", "X: a\r\n".repeat(20_000)),
        ];
        for length in [max, max - 1, max / 2, 1 << 40] {
            answers.push(format!("{head}Content-Length: {length}\r\n\r\n{{}}"));
            answers.push(format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{{}}"));
            answers.push(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n{length:x}\r\n{{}}"));
        }
        answers.into_iter().map(String::into_bytes).collect()
    },
};

fn answer_once(listener: &TcpListener, answer: &[u8]) {
    let Ok((mut stream, _)) = listener.accept() else { return };
    read_request(&mut stream);
    // The other side may have had enough.
    let _ = stream.write_all(answer);
}

/// Reads the head of a request; a request for an event has no body.
fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut piece = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend(&piece[..count]),
        }
    }
}
