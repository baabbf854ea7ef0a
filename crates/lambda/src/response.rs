//! The head of an HTTP response, and how long what follows it is.

use std::io;
use std::ops::Range;

/// Most headers of a response; the Runtime API sends about ten.
const MAX_HEADERS: usize = 64;

/// A response whose bytes lie in the connection's buffer; everything in it is a place there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names and values.
    headers: Vec<(Range<usize>, Range<usize>)>,
    pub(crate) length: Length,
    /// Whether the connection ends with this response.
    pub(crate) is_last: bool,
    pub(crate) body: Range<usize>,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// After so many bytes.
    Known(usize),
    /// After the chunk of length zero.
    Chunked,
    /// With the connection.
    UntilClosed,
}

impl Response {
    /// Parses the head at the beginning of `bytes`, and says how long it is. Nothing while it isn't whole.
    ///
    /// `body` is empty and stands after the head.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = parsed.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + part.len()
        };
        let mut response = Self {
            status: parsed.code.unwrap_or_default(),
            headers: parsed.headers.iter().map(|header| (place(header.name.as_bytes()), place(header.value))).collect(),
            length: Length::UntilClosed,
            is_last: false,
            body: head..head,
        };
        response.length = response.length_in(bytes)?;
        response.is_last = response.length == Length::UntilClosed || response.says(bytes, "Connection", "close");
        Ok(Some(response))
    }

    /// A header's value; names are compared in any case. `bytes` are those that the response was parsed from.
    pub(crate) fn header<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(found, _)| bytes[found.clone()].eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(&bytes[value.clone()]).ok()
    }

    fn says(&self, bytes: &[u8], name: &str, value: &str) -> bool {
        self.header(bytes, name).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    fn length_in(&self, bytes: &[u8]) -> io::Result<Length> {
        if self.status == 204 {
            return Ok(Length::Known(0));
        }
        if self.says(bytes, "Transfer-Encoding", "chunked") {
            return Ok(Length::Chunked);
        }
        match self.header(bytes, "Content-Length") {
            Some(length) => length.parse().map(Length::Known).map_err(io::Error::other),
            None => Ok(Length::UntilClosed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Response {
        Response::parse(text.as_bytes()).expect("HTTP").expect("whole")
    }

    #[test]
    fn a_head_is_parsed_when_it_is_whole() {
        let text = "HTTP/1.1 200 OK\r\nLambda-Runtime-Trace-Id: Root=1\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..text.len() - 5 {
            assert_eq!(Response::parse(&text.as_bytes()[..end]).expect("a beginning"), None, "{end}");
        }
        let response = parsed(text);
        assert_eq!((response.status, response.body.start), (200, text.len() - 5));
        assert_eq!(response.header(text.as_bytes(), "lambda-runtime-TRACE-id"), Some("Root=1"));
        assert!(Response::parse(b"SMTP/1.0\r\n\r\n").is_err());
    }

    #[test]
    fn the_end_of_a_body_is_known() {
        let check = |head: &str, length: Length, is_last: bool| {
            let response = parsed(head);
            assert_eq!((response.length, response.is_last), (length, is_last), "{head}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Length::Known(7), false);
        check("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: Close\r\n\r\n", Length::Known(7), true);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Length::Chunked, false);
        check("HTTP/1.1 204 No Content\r\n\r\n", Length::Known(0), false);
        check("HTTP/1.0 200 OK\r\n\r\n", Length::UntilClosed, true);
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\nContent-Length: seven\r\n\r\n").is_err());
    }
}
