//! A function that does nothing on bare sockets: the floor of this machine, under every other figure.

use std::error::Error;
use std::net::TcpStream;

use runtime_bench::cases::ALLOWED;
use runtime_bench::http::Connection;

fn main() -> Result<(), Box<dyn Error>> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut connection = Connection::new(TcpStream::connect(&api)?)?;
    let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {api}\r\n");
    let answer = format!("{{{ALLOWED}}}");
    loop {
        connection.send(&next, b"")?;
        let Some(event) = connection.read()? else { return Ok(()) };
        let id = event.header("Lambda-Runtime-Aws-Request-Id").ok_or("an event without an id")?;
        let response = format!("POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: {api}\r\n");
        connection.send(&response, answer.as_bytes())?;
        connection.read()?;
    }
}
