//! The link that ends the mails to a person: signed, the same answer for everybody, nothing to be read from it.
//!
//! A token is `{id}.{signature}`. The id is a digest of account and person, under which the opt-out is kept
//! (collection `mail_optouts`), so that neither link nor collection tells who it is about and opt-outs outlive a
//! change of keys. The signature keeps strangers from filling the collection. Keys come from `secrets_key`, those
//! before it still verify, or from `auth.hs256_secret` where there is none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use url::Url;

use crate::config::Config;
use crate::domain::ids::{AccountId, Uid};

/// What the keys are for: a signature for another purpose made with the same secret is none here.
const PURPOSE: &[u8] = b"bellhop mail unsubscribe 1";
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// Under which a person's wish is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutId(String);

impl OptOutId {
    /// The id of `uid` in `account`.
    pub fn of(account: &AccountId, uid: &Uid) -> Self {
        // Neither id can hold a slash.
        let digest = Sha256::digest(format!("bellhop mail optout/{account}/{uid}"));
        Self(hex::encode(&digest[..16]))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Signs and reads the links.
#[derive(Clone)]
pub struct Unsubscribe {
    /// The first signs, all verify.
    keys: Vec<[u8; 32]>,
    base: String,
}

impl Unsubscribe {
    /// With the keys and the public URL of `config`. Without any key no link is good.
    pub fn new(config: &Config) -> Self {
        let secrets = config.keys.current.iter().chain(&config.keys.old).map(|key| key.expose().as_slice());
        let last = config.auth.hs256_secret.iter().map(|secret| secret.expose().as_bytes());
        let keys = secrets.chain(last).map(|secret| hmac(secret, PURPOSE)).collect();
        Self::with_keys(keys, &config.public_url)
    }

    fn with_keys(keys: Vec<[u8; 32]>, public_url: &Url) -> Self {
        let base = format!("{}/email/unsubscribe", public_url.as_str().trim_end_matches('/'));
        Self { keys, base }
    }

    /// The link for a person.
    pub fn link(&self, account: &AccountId, uid: &Uid) -> String {
        let id = OptOutId::of(account, uid);
        let signature = self.keys.first().map(|key| URL_SAFE_NO_PAD.encode(hmac(key, id.0.as_bytes())));
        format!("{}?token={}.{}", self.base, id.0, signature.unwrap_or_default())
    }

    /// The id in `token`, if we signed it; in constant time.
    pub fn read(&self, token: &str) -> Option<OptOutId> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (id, signature) = token.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let fits = |key: &[u8; 32]| mac(key, id.as_bytes()).verify_slice(&signature).is_ok();
        self.keys.iter().any(fits).then(|| OptOutId(id.to_owned()))
    }

    /// A name for a room that is the same in all its mails and tells nothing of it.
    pub fn room_tag(&self, thread_key: &str) -> String {
        let key = self.keys.first().copied().unwrap_or_default();
        format!("room.{}", hex::encode(&hmac(&key, format!("room {thread_key}").as_bytes())[..12]))
    }
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    mac(key, text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(keys: &[u8]) -> Unsubscribe {
        let url = "https://chat.example/base/".parse().expect("a URL");
        Unsubscribe::with_keys(keys.iter().map(|key| [*key; 32]).collect(), &url)
    }

    fn token(link: &str) -> &str {
        link.strip_prefix("https://chat.example/base/email/unsubscribe?token=").expect("our link")
    }

    #[test]
    fn a_link_is_read_back_also_after_a_change_of_keys_and_tells_nothing() {
        let (account, uid) =
            (AccountId::parse("acme").expect("ok"), Uid::parse("anna@x.example").expect("ok"));
        let link = signer(&[1]).link(&account, &uid);
        assert!(!link.contains("acme") && !link.contains("anna"), "{link}");
        let id = Some(OptOutId::of(&account, &uid));
        assert_eq!(signer(&[1]).read(token(&link)), id);
        assert_eq!(signer(&[2, 1]).read(token(&link)), id);
        assert_eq!(signer(&[2]).read(token(&link)), None);
        assert_eq!(signer(&[]).read(token(&link)), None);
        let other = AccountId::parse("globex").expect("ok");
        assert_ne!(Some(OptOutId::of(&other, &uid)), id, "one account's wish is not another's");
    }

    #[test]
    fn forged_and_cut_tokens_are_refused() {
        let (account, uid) = (AccountId::parse("acme").expect("ok"), Uid::parse("anna").expect("ok"));
        let signer = signer(&[1]);
        let link = signer.link(&account, &uid);
        let good = token(&link);
        let (id, signature) = good.split_once('.').expect("two parts");
        let changed = format!("{}.{signature}", id.replace(id.chars().next().unwrap_or('0'), "x"));
        for bad in ["", ".", id, &good[..good.len() - 1], &format!("{id}."), &changed, &"a".repeat(500)] {
            assert_eq!(signer.read(bad), None, "{bad}");
        }
    }
}
