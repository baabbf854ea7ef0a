//! The head of an HTTP response, and how long what follows it is.

use std::io;
use std::ops::Range;

/// Most headers of a response; the Runtime API sends about ten.
const MAX_HEADERS: usize = 64;

/// A response whose bytes lie in the connection's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
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
        let httparse::Status::Complete(length) = parsed.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
        Ok(Some(Self { status: parsed.code.unwrap_or_default(), headers, body: length..length }))
    }

    /// A header's value; names are compared in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Where its body ends.
    pub(crate) fn length(&self) -> io::Result<Length> {
        if self.status == 204 {
            return Ok(Length::Known(0));
        }
        if self.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Ok(Length::Chunked);
        }
        match self.header("Content-Length") {
            Some(length) => length.parse().map(Length::Known).map_err(io::Error::other),
            None => Ok(Length::UntilClosed),
        }
    }

    /// Whether the connection ends with this response.
    pub(crate) fn is_last(&self) -> bool {
        self.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || self.length().is_ok_and(|length| length == Length::UntilClosed)
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
        assert_eq!(response.header("lambda-runtime-TRACE-id"), Some("Root=1"));
        assert!(Response::parse(b"SMTP/1.0\r\n\r\n").is_err());
    }

    #[test]
    fn the_end_of_a_body_is_known() {
        let check = |head: &str, length: Length, is_last: bool| {
            let response = parsed(head);
            assert_eq!((response.length().expect("a number"), response.is_last()), (length, is_last), "{head}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Length::Known(7), false);
        check("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: Close\r\n\r\n", Length::Known(7), true);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Length::Chunked, false);
        check("HTTP/1.1 204 No Content\r\n\r\n", Length::Known(0), false);
        check("HTTP/1.0 200 OK\r\n\r\n", Length::UntilClosed, true);
        assert!(parsed("HTTP/1.1 200 OK\r\nContent-Length: seven\r\n\r\n").length().is_err());
    }
}
