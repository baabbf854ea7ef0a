//! AWS's signature of a request, version 4, for requests of the one form that [`crate::json_service`] sends
//! (IAM user guide, "AWS Signature Version 4 for API requests", read 2026-11).
//!
//! The SDK's signer takes any request apart and derives the day's key for each; this one keeps the key. A test holds it
//! against the SDK's.

use aws_credential_types::Credentials;
use events::Timestamp;
use ring::{digest, hmac};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Signs requests to one service in one region.
pub(crate) struct Signer {
    region: String,
    service: &'static str,
    /// One key serves for a day, as long as the credentials stay the same.
    kept: Mutex<Option<DayKey>>,
}

struct DayKey {
    day: String,
    access_key: String,
    key: hmac::Key,
}

/// A `POST` whose path needs no escapes and which has no query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signable<'a> {
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
    /// Names in small letters, in the order of the alphabet, with values that have no spaces at their ends and none doubled.
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

impl Signer {
    pub(crate) fn new(region: &str, service: &'static str) -> Self {
        Self { region: region.to_owned(), service, kept: Mutex::new(None) }
    }

    /// The value of the `Authorization` header. The headers must hold `x-amz-date` with the same time.
    pub(crate) fn authorization(&self, credentials: &Credentials, time: &AmzDate, request: Signable<'_>) -> String {
        let scope = format!("{}/{}/{}/aws4_request", time.day(), self.region, self.service);
        let signed = request.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut canonical = String::with_capacity(1024);
        let _ = write!(canonical, "POST\n{}\n\n", request.path);
        for (name, value) in request.headers {
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let _ = write!(canonical, "\n{signed}\n{}", hex(digest::digest(&digest::SHA256, request.body).as_ref()));
        let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{digest}", time.as_str());
        let signature = hmac::sign(&self.key(credentials, time.day()), to_sign.as_bytes());
        let access_key = credentials.access_key_id();
        let signature = hex(signature.as_ref());
        format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}")
    }

    fn key(&self, credentials: &Credentials, day: &str) -> hmac::Key {
        let access_key = credentials.access_key_id();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(kept) if kept.day == day && kept.access_key == access_key => kept.key.clone(),
            _ => {
                let secret = format!("AWS4{}", credentials.secret_access_key());
                let key = [day, &self.region, self.service, "aws4_request"]
                    .into_iter()
                    .fold(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), |key, part| {
                        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
                    });
                *kept = Some(DayKey { day: day.to_owned(), access_key: access_key.to_owned(), key: key.clone() });
                key
            }
        }
    }
}

/// A time as signatures write it: `20261130T070605Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AmzDate(String);

impl AmzDate {
    pub(crate) fn at(time: Timestamp) -> Self {
        Self(time.strftime("%Y%m%dT%H%M%SZ").to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn day(&self) -> &str {
        &self.0[..8]
    }
}

/// Small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;
    use proptest::prelude::*;
    use std::time::SystemTime;

    /// What the SDK's signer makes of the same request.
    fn by_the_sdk(credentials: &Credentials, time: Timestamp, region: &str, request: Signable<'_>) -> String {
        let identity = credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("events")
            .time(SystemTime::from(time))
            .settings(SigningSettings::default())
            .build()
            .expect("complete")
            .into();
        // The signer adds its own date and token.
        let own = |name: &str| !matches!(name, "x-amz-date" | "x-amz-security-token");
        let headers = request.headers.iter().copied().filter(|(name, _)| own(name));
        let url = format!("https://events.example.com{}", request.path);
        let signable =
            SignableRequest::new("POST", url, headers, SignableBody::Bytes(request.body)).expect("a good request");
        let (instructions, _) = sign(signable, &params).expect("signed").into_parts();
        let mut headers = instructions.headers();
        headers.find(|(name, _)| *name == "authorization").expect("signed").1.to_owned()
    }

    proptest! {
        #[test]
        fn it_signs_as_the_sdk_does(
            body in prop::collection::vec(any::<u8>(), 0..300),
            token in prop::option::of("[A-Za-z0-9+/=]{1,80}"),
            access_key in "[A-Z0-9]{4,20}",
            secret in "[A-Za-z0-9/+]{1,40}",
            seconds in 1_600_000_000_i64..2_000_000_000,
            region in "(us|eu|ap)-(west|east)-[1-3]",
            path in "/([a-z0-9]{1,5}/)?",
        ) {
            let credentials = Credentials::new(access_key, secret, token.clone(), None, "test");
            let time = Timestamp::from_second(seconds).expect("in range");
            let date = AmzDate::at(time);
            let mut headers = vec![
                ("content-type", "application/x-amz-json-1.1"),
                ("host", "events.example.com"),
                ("x-amz-date", date.as_str()),
            ];
            headers.extend(token.as_deref().map(|token| ("x-amz-security-token", token)));
            headers.push(("x-amz-target", "AWSEvents.PutEvents"));
            let request = Signable { path: &path, body: &body, headers: &headers };
            let signer = Signer::new(&region, "events");
            let expected = by_the_sdk(&credentials, time, &region, request);
            // The second time with the key that was kept.
            for _ in 0..2 {
                prop_assert_eq!(signer.authorization(&credentials, &date, request), expected.as_str());
            }
        }
    }

    #[test]
    fn a_kept_key_serves_its_day_and_its_credentials_only() {
        let signer = Signer::new("us-west-2", "events");
        let [one, two] =
            ["one", "two"].map(|name| Credentials::new(name, format!("secret {name}"), None, None, "test"));
        let [monday, tuesday] =
            [1_700_000_000, 1_700_086_400].map(|second| AmzDate::at(Timestamp::from_second(second).expect("in range")));
        let request = Signable { path: "/", body: b"{}", headers: &[("host", "x")] };
        for (credentials, date) in [(&one, &monday), (&two, &monday), (&one, &tuesday), (&one, &monday)] {
            let fresh = Signer::new("us-west-2", "events").authorization(credentials, date, request);
            assert_eq!(signer.authorization(credentials, date, request), fresh);
        }
    }
}
