//! From a token to its caller: which key a token must be signed with, and whether it is.
//!
//! The issuer that a token names decides which keys count, and the key decides the algorithm; what the token says about its
//! algorithm is only compared. The two issuers are different, which the configuration makes sure of, so a public key can
//! never serve as a shared secret.

use crate::claims::{Caller, Claims};
use crate::clock::{Clock, epoch_seconds};
use crate::crypto;
use crate::kept::NoKeys;
use crate::public_keys::{FetchKeys, PublicKeys};
use crate::refusal::Refusal;
use crate::secret_keys::SecretKeys;
use crate::token::{Token, TokenHeader};
use aws::secrets::ReadSecret;
use contracts::{Authorizer, AuthorizerSettings, KeyIssuer};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use std::sync::Arc;

/// Checks tokens of the configured issuers.
pub struct Verifier<S, F, C> {
    secret_issuer: String,
    key_issuer: KeyIssuer,
    audience: String,
    settings: AuthorizerSettings,
    secret_keys: SecretKeys<S>,
    public_keys: Option<PublicKeys<F>>,
    clock: C,
}

/// Why there is no caller.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The token is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be found out.
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
}

/// An issuer without its keys, or keys without their issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there must be a source of public keys exactly when `JWT_KEY_ISSUER` is not `none`")]
pub struct KeysWithoutIssuer;

impl<S: ReadSecret, F: FetchKeys, C: Clock> Verifier<S, F, C> {
    /// A verifier of the issuers in `config`, with the secret behind `secret` and the public keys of `keys`.
    ///
    /// # Errors
    /// When there are keys of no issuer, or an issuer has none.
    pub fn new(config: Authorizer, secret: S, keys: Option<F>, clock: C) -> Result<Self, KeysWithoutIssuer> {
        crypto::install();
        if (config.key_issuer == KeyIssuer::None) != keys.is_none() {
            return Err(KeysWithoutIssuer);
        }
        let longest_life = config.settings.longest_life;
        Ok(Self {
            secret_issuer: config.secret_issuer,
            key_issuer: config.key_issuer,
            audience: config.audience,
            settings: config.settings,
            secret_keys: SecretKeys::new(secret, longest_life),
            public_keys: keys.map(PublicKeys::new),
            clock,
        })
    }

    /// Fetches the secret and the public keys at the same time, so that the first request needn't. Gives what could not be
    /// had; the first request that needs it tries again.
    pub async fn prepare(&self) -> Vec<NoKeys> {
        let public_keys = async {
            match &self.public_keys {
                Some(keys) => Box::pin(keys.prepare(&self.clock)).await,
                None => Ok(()),
            }
        };
        // Boxed, because the compiler gives up on a future that contains all those below it.
        let secret = async { Box::pin(self.secret_keys.get(&self.clock)).await.map(drop) };
        let (secret, public_keys) = tokio::join!(secret, public_keys);
        [secret, public_keys].into_iter().filter_map(Result::err).collect()
    }

    /// Who makes a request with this `Authorization` header.
    ///
    /// # Errors
    /// When the token is refused, or can't be checked for want of keys.
    pub async fn caller(&self, authorization: &str) -> Result<Caller, VerifyError> {
        let token = Token::from_header(authorization)?;
        let header = token.header()?;
        let claims = token.unverified_claims()?;
        claims.check_time(epoch_seconds(self.clock.now()), &self.settings)?;
        let issuer = claims.issuer()?;
        let verified = match &self.public_keys {
            _ if issuer == self.secret_issuer => self.verify_by_secret(token, &header, issuer).await?,
            Some(keys) if self.key_issuer.issues(issuer) => {
                self.verify_by_public_key(token, &header, issuer, keys).await?
            }
            _ => return Err(Refusal::WrongIssuer.into()),
        };
        Ok(verified.caller()?)
    }

    async fn verify_by_secret(
        &self,
        token: Token<'_>,
        header: &TokenHeader,
        issuer: &str,
    ) -> Result<Claims, VerifyError> {
        if header.algorithm != Algorithm::HS256 {
            return Err(Refusal::WrongAlgorithm.into());
        }
        let mut keys = self.secret_keys.get(&self.clock).await?;
        loop {
            let key_id = header.key_id.as_deref();
            for candidate in self.secret_keys.candidates(&keys.value, key_id, self.clock.now()) {
                match self.verify(token, candidate, Algorithm::HS256, issuer) {
                    Err(Refusal::WrongSignature) => {}
                    decided => return Ok(decided?),
                }
            }
            // The secret may have been rotated since it was read.
            let newer = self.secret_keys.newer(&keys, &self.clock).await?;
            if Arc::ptr_eq(&newer, &keys) {
                return Err(Refusal::WrongSignature.into());
            }
            keys = newer;
        }
    }

    async fn verify_by_public_key(
        &self,
        token: Token<'_>,
        header: &TokenHeader,
        issuer: &str,
        keys: &PublicKeys<F>,
    ) -> Result<Claims, VerifyError> {
        // Only known algorithms of public keys are worth a look at the keys; the key itself decides below.
        if header.algorithm != Algorithm::RS256 {
            return Err(Refusal::WrongAlgorithm.into());
        }
        let key_id = header.key_id.as_deref().ok_or(Refusal::UnknownKey)?;
        let found = keys.find(key_id, &self.clock).await?;
        let key = found.ok_or(Refusal::UnknownKey)?;
        Ok(self.verify(token, &key.key, key.algorithm, issuer)?)
    }

    /// Checks signature, issuer and audience. Time is checked apart, by a clock that tests can set.
    fn verify(
        &self,
        token: Token<'_>,
        key: &DecodingKey,
        algorithm: Algorithm,
        issuer: &str,
    ) -> Result<Claims, Refusal> {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let verified = jsonwebtoken::decode(token.as_str(), key, &validation);
        verified.map(|verified| verified.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Refusal::WrongSignature,
            ErrorKind::InvalidAlgorithm => Refusal::WrongAlgorithm,
            ErrorKind::InvalidIssuer => Refusal::WrongIssuer,
            ErrorKind::InvalidAudience => Refusal::WrongAudience,
            ErrorKind::MissingRequiredClaim(_) => Refusal::MissingClaim,
            _ => Refusal::Malformed,
        })
    }
}
