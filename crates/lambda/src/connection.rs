//! One connection to the Runtime API, which blocks, and is opened anew when it was closed.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::response::{Length, Response};

/// Bytes that the buffer has at first; most events fit.
const BUFFER: usize = 16 * 1024;

/// The longest response that is taken. Lambda's events have at most 6 MB.
const LARGEST_RESPONSE: usize = 32 * 1024 * 1024;

/// A buffer that grew above this for one event is given back with the next.
const LARGEST_KEPT: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: Option<TcpStream>,
    /// What was received of the current response, and room for more.
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// A connection to `address` that is opened with the first request.
    pub(crate) fn to(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None, buffer: vec![0; BUFFER], filled: 0 }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and waits for the whole response, which stays until the next request.
    ///
    /// A connection that was kept may have been closed by the other side meanwhile. The request then got no answer at all
    /// and is sent once more on a new one.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        let was_kept = self.stream.is_some();
        match self.attempt(request) {
            Err(_) if was_kept && self.filled == 0 => self.attempt(request),
            result => result,
        }
    }

    /// What was received of the last response; its places are places here.
    pub(crate) fn received(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// The body of the last response.
    pub(crate) fn body(&self, response: &Response) -> &[u8] {
        &self.buffer[response.body.clone()]
    }

    fn attempt(&mut self, request: &[u8]) -> io::Result<Response> {
        self.filled = 0;
        if self.buffer.len() > LARGEST_KEPT {
            self.buffer = vec![0; BUFFER];
        }
        // Taken, so that a connection on which something went wrong is not used again.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request)?;
        let response = self.receive(&mut stream)?;
        if !response.is_last {
            self.stream = Some(stream);
        }
        Ok(response)
    }

    fn receive(&mut self, stream: &mut impl Read) -> io::Result<Response> {
        let mut response = loop {
            self.fill(stream)?;
            if let Some(response) = Response::parse(&self.buffer[..self.filled])? {
                break response;
            }
        };
        let start = response.body.start;
        match response.length {
            Length::Known(length) => {
                let end = end_of(start, length)?;
                while self.filled < end {
                    self.fill(stream)?;
                }
                response.body = start..end;
            }
            Length::Chunked => response.body = start..self.join_chunks(stream, start)?,
            Length::UntilClosed => {
                loop {
                    match self.fill(stream) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                        Err(error) => return Err(error),
                    }
                }
                response.body = start..self.filled;
            }
        }
        Ok(response)
    }

    /// Moves the chunks from `start` on together; gives where they end.
    fn join_chunks(&mut self, stream: &mut impl Read, start: usize) -> io::Result<usize> {
        let (mut joined, mut place) = (start, start);
        loop {
            let (head, size) = loop {
                match httparse::parse_chunk_size(&self.buffer[place..self.filled]) {
                    Ok(httparse::Status::Complete((head, size))) => break (head, size),
                    Ok(httparse::Status::Partial) => self.fill(stream)?,
                    Err(_) => return Err(io::Error::other("a chunk without a length")),
                }
            };
            let size = usize::try_from(size).map_err(io::Error::other)?;
            place += head;
            if size == 0 {
                return self.skip_trailers(stream, place).map(|()| joined);
            }
            let end = end_of(place, size)?;
            // With the line end behind it.
            while self.filled < end + 2 {
                self.fill(stream)?;
            }
            self.buffer.copy_within(place..end, joined);
            joined += size;
            place = end + 2;
        }
    }

    /// Reads on until the empty line that ends a body in chunks.
    fn skip_trailers(&mut self, stream: &mut impl Read, start: usize) -> io::Result<()> {
        loop {
            let rest = &self.buffer[start..self.filled];
            if rest.starts_with(b"\r\n") || rest.windows(4).any(|window| window == b"\r\n\r\n") {
                return Ok(());
            }
            self.fill(stream)?;
        }
    }

    fn fill(&mut self, stream: &mut impl Read) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            if self.filled >= LARGEST_RESPONSE {
                return Err(too_large());
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        loop {
            match stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.filled += count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where so many bytes from `start` on end, if they may be so many.
fn end_of(start: usize, length: usize) -> io::Result<usize> {
    start.checked_add(length).filter(|end| *end <= LARGEST_RESPONSE).ok_or_else(too_large)
}

fn too_large() -> io::Error {
    io::Error::other(format!("a response of more than {} MiB", LARGEST_RESPONSE >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of so many.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn body(text: &str, piece: usize) -> io::Result<Vec<u8>> {
        let mut connection = Connection::to("nowhere");
        let response = connection.receive(&mut Pieces(text.as_bytes(), piece))?;
        Ok(connection.body(&response).to_vec())
    }

    #[test]
    fn bodies_of_every_kind_arrive_in_pieces_of_any_size() {
        let cases = [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.0 200 OK\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\nLate: yes\r\n\r\n",
        ];
        for case in cases {
            for piece in 1..=case.len() {
                assert_eq!(body(case, piece).expect("a response"), b"hello world", "{piece}: {case}");
            }
        }
    }

    #[test]
    fn a_large_body_makes_the_buffer_grow() {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
        assert_eq!(body(&text, 8_192).expect("a response").len(), 1_000_000);
    }

    #[test]
    fn a_response_that_breaks_off_is_an_error() {
        for part in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n",
        ] {
            assert!(body(part, 7).is_err(), "{part}");
        }
    }

    /// A length that no memory holds used to overflow where its end was computed.
    #[test]
    fn a_response_that_says_to_be_too_large_is_refused_at_once() {
        for length in [usize::MAX, usize::MAX - 1, LARGEST_RESPONSE] {
            for head in [
                format!("Content-Length: {length}\r\n\r\n"),
                format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"),
            ] {
                let error = body(&format!("HTTP/1.1 200 OK\r\n{head}{{}}"), 7).expect_err("too large");
                assert_eq!(error.to_string(), "a response of more than 32 MiB", "{head}");
            }
        }
    }

    #[test]
    fn a_response_without_an_end_is_read_so_far_and_no_further() {
        let mut connection = Connection::to("nowhere");
        let mut endless = (&b"HTTP/1.0 200 OK\r\n\r\n"[..]).chain(io::repeat(b'a'));
        let error = connection.receive(&mut endless).expect_err("too large");
        assert_eq!(error.to_string(), "a response of more than 32 MiB");
        assert_eq!(connection.filled, LARGEST_RESPONSE);
    }
}
