//! IP addresses.

use super::Mistake;
use crate::geo;
use events::raw::ViolationCode;

/// The address in its shortest form (RFC 5952); IPv4 that is written as IPv6 becomes IPv4.
pub(super) fn normalise(text: &str) -> Result<String, Mistake> {
    let message = "expected an IPv4 address such as `192.0.2.1` or an IPv6 address such as `2001:db8::1`, without port, \
                   network and zone";
    let address = geo::read(text).ok_or_else(|| Mistake::new(ViolationCode::NotIpAddress, message))?;
    Ok(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:C000:0201", "192.0.2.1"),
            ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::", "::"),
        ] {
            assert_eq!(normalise(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(normalise(expected).as_deref(), Ok(expected));
        }
        for text in ["", "192.0.2", "192.0.2.1:80", "192.0.2.0/24", "[::1]", "fe80::1%1", "example.com"] {
            assert_eq!(normalise(text).map_err(|mistake| mistake.code), Err(ViolationCode::NotIpAddress), "{text}");
        }
    }
}
