//! Credentials that are kept until shortly before they expire.
//!
//! The SDK's clients keep what a provider gives them, each for itself. Services that are spoken to without the SDK
//! ([`crate::json_service`]) ask with each request, which would be a request of its own to whoever lends a role.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How long before their end credentials are renewed: more than a request and the clocks of two machines need, and more than the
/// ten seconds of the SDK's own clients, so that these get fresh ones.
const EARLY: Duration = Duration::from_secs(60);
/// How long a renewal may take while the kept ones are good. Whoever asks has a limit of its own, often of a few seconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a renewal that failed isn't tried again while the kept ones are good.
const REST: Duration = Duration::from_secs(5);

/// A provider whose answers are kept.
#[derive(Debug)]
pub(crate) struct Kept<P> {
    provider: P,
    last: Mutex<Last>,
    now: fn() -> SystemTime,
}

#[derive(Debug, Default)]
struct Last {
    credentials: Option<Credentials>,
    /// No renewal before this time.
    rests_until: Option<SystemTime>,
}

impl<P: ProvideCredentials> Kept<P> {
    pub(crate) fn new(provider: P) -> Self {
        Self { provider, last: Mutex::default(), now: SystemTime::now }
    }

    /// One question at a time: who asks meanwhile waits for its answer.
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        let mut last = self.last.lock().await;
        let now = (self.now)();
        let Some(kept) = last.credentials.clone().filter(|credentials| is_good(credentials, now)) else {
            let credentials = self.provider.provide_credentials().await?;
            *last = Last { credentials: Some(credentials.clone()), rests_until: None };
            return Ok(credentials);
        };
        if is_good(&kept, now + EARLY) || last.rests_until.is_some_and(|until| now < until) {
            return Ok(kept);
        }
        // What is good for a few seconds still is better than nothing, and than an answer that comes too late.
        match tokio::time::timeout(PATIENCE, self.provider.provide_credentials()).await {
            Ok(Ok(credentials)) => {
                *last = Last { credentials: Some(credentials.clone()), rests_until: None };
                Ok(credentials)
            }
            Ok(Err(_)) | Err(_) => {
                last.rests_until = Some(now + REST);
                Ok(kept)
            }
        }
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Kept<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}

fn is_good(credentials: &Credentials, at: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The answer to question n, from 0, is good until n + 1 hours after the beginning; the fourth fails, the sixth never comes.
    #[derive(Debug, Default)]
    struct Numbered(AtomicU64);

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(3_600 * (number + 1));
            future::ProvideCredentials::new(async move {
                match number {
                    3 => Err(CredentialsError::not_loaded("the role isn't lent")),
                    5 => std::future::pending().await,
                    _ => Ok(Credentials::new(format!("key-{number}"), "secret", None, Some(expiry), "test")),
                }
            })
        }
    }

    #[tokio::test]
    async fn credentials_are_asked_for_anew_shortly_before_they_expire() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst));
        let kept = Kept { now, ..Kept::new(Numbered::default()) };
        for (second, key) in [
            (0, "key-0"),
            (3_000, "key-0"),
            (3_540, "key-1"),
            (7_100, "key-1"),
            (7_150, "key-2"),
            // Renewing fails, and they are good for half a minute still; after a rest the next question is answered.
            (10_770, "key-2"),
            (10_774, "key-2"),
            (10_775, "key-4"),
            // No answer comes, and nobody waits for it.
            (17_950, "key-4"),
            (17_954, "key-4"),
            (17_955, "key-6"),
        ] {
            NOW.store(second, Ordering::SeqCst);
            let asked = tokio::time::timeout(Duration::from_secs(2), kept.provide_credentials());
            let given = asked.await.expect("soon").expect("credentials");
            assert_eq!(given.access_key_id(), key, "at {second} s");
        }
    }

    #[tokio::test]
    async fn expired_credentials_are_never_given() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst));
        let kept = Kept { now, ..Kept::new(Numbered(AtomicU64::new(2))) };
        kept.provide_credentials().await.expect("good for three hours");
        NOW.store(3 * 3_600, Ordering::SeqCst);
        kept.provide_credentials().await.expect_err("the role isn't lent");
        kept.provide_credentials().await.expect("it is now");
    }

    #[tokio::test]
    async fn many_who_ask_at_once_are_one_question() {
        let kept = Kept { now: || SystemTime::UNIX_EPOCH, ..Kept::new(Numbered::default()) };
        let given = futures::future::join_all((0..20).map(|_| kept.provide_credentials())).await;
        assert!(given.into_iter().all(|given| given.expect("credentials").access_key_id() == "key-0"));
        assert_eq!(kept.provider.0.load(Ordering::SeqCst), 1);
    }
}
