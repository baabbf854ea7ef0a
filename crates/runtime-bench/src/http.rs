//! The little HTTP/1.1 that both ends of a connection need: one message at a time on a connection that stays open.
//!
//! Plain sockets and no library, so that the server's share of a round trip is small and always the same. It understands
//! bodies with a length and bodies in chunks, and nothing else that a Runtime API or AWS's JSON protocols don't use.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A connection with what was read too far.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    /// Invariant: at most `buffer.len()`; what lies before it was received and not yet taken.
    filled: usize,
    outgoing: Vec<u8>,
}

/// A request or an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line and the header lines.
    head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// The first line: method, path and version, or version and status.
    pub fn first_line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The path of a request.
    pub fn path(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap_or_default()
    }

    /// A header's value; names are compared in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl Connection {
    /// Takes over a socket. Small messages are sent at once.
    ///
    /// # Errors
    /// When the socket is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: Read + Write> Connection<S> {
    fn over(stream: S) -> Self {
        Self { stream, buffer: vec![0; 64 * 1024], filled: 0, outgoing: Vec::new() }
    }

    /// The next message, or nothing when the other side has closed the connection.
    ///
    /// # Errors
    /// When the connection breaks or what comes is no HTTP.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        let Some(end) = self.find(b"\r\n\r\n")? else { return Ok(None) };
        let head = String::from_utf8(self.buffer[..end].to_vec()).map_err(io::Error::other)?;
        self.take(end + 4);
        let body = if let Some(length) = header(&head, "content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            self.exactly(length)?
        } else if header(&head, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            self.chunks()?
        } else {
            Vec::new()
        };
        Ok(Some(Message { head, body }))
    }

    /// Sends a message; `head` is the first line and the header lines, each with its line end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&mut self, head: &str, body: &[u8]) -> io::Result<()> {
        self.outgoing.clear();
        write!(self.outgoing, "{head}Content-Length: {}\r\n\r\n", body.len())?;
        self.outgoing.extend_from_slice(body);
        self.stream.write_all(&self.outgoing)
    }

    /// Where `text` begins in what was received, which is read on until it is there. Nothing at the end of the stream.
    fn find(&mut self, text: &[u8]) -> io::Result<Option<usize>> {
        let mut from = 0;
        loop {
            let place = self.buffer[from..self.filled].windows(text.len()).position(|window| window == text);
            if let Some(place) = place {
                return Ok(Some(from + place));
            }
            from = self.filled.saturating_sub(text.len() - 1);
            if self.fill()? == 0 {
                return if self.filled == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.filled < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let bytes = self.buffer[..length].to_vec();
        self.take(length);
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                // Trailers, up to an empty line.
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.append(&mut self.exactly(size)?);
            self.line()?;
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let end = self.find(b"\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.take(end + 2);
        Ok(line)
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count)
    }

    fn take(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives its bytes in pieces of three.
    struct Pieces {
        incoming: Vec<u8>,
        sent: Vec<u8>,
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.incoming.len().min(3).min(buffer.len());
            buffer[..count].copy_from_slice(&self.incoming[..count]);
            self.incoming.drain(..count);
            Ok(count)
        }
    }

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.sent.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn connection(incoming: &str) -> Connection<Pieces> {
        Connection::over(Pieces { incoming: incoming.as_bytes().to_vec(), sent: Vec::new() })
    }

    #[test]
    fn messages_follow_each_other_on_one_connection() {
        let mut connection = connection(
            "GET /next HTTP/1.1\r\nHost: a\r\n\r\nPOST /answer HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\nhello\
             POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nLate: 1\r\n\r\n",
        );
        let first = connection.read().expect("HTTP").expect("a message");
        assert_eq!((first.path(), first.header("HOST"), first.body.len()), ("/next", Some("a"), 0));
        let second = connection.read().expect("HTTP").expect("a message");
        assert_eq!((second.path(), second.body.as_slice()), ("/answer", &b"hello"[..]));
        let third = connection.read().expect("HTTP").expect("a message");
        assert_eq!((third.path(), third.body.as_slice()), ("/chunks", &b"abc0123456789"[..]));
        assert_eq!(connection.read().expect("the end"), None);
    }

    #[test]
    fn a_message_that_breaks_off_is_an_error() {
        for part in [
            "GET /next HTT",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell",
            "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        ] {
            assert!(connection(part).read().is_err(), "{part}");
        }
    }

    #[test]
    fn what_is_sent_says_how_long_it_is() {
        let mut connection = connection("");
        connection.send("HTTP/1.1 200 OK\r\nX: y\r\n", b"{}").expect("sent");
        assert_eq!(connection.stream.sent, b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\n{}");
    }
}
