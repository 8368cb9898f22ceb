//! Attacks on tokens and the answer each must get. The tokens of `sample_keys.json` were signed once, for a
//! fixed time, and their private keys thrown away.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared::config::{Config, Secret};
use shared::domain::actor::Role;

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn samples() -> Value {
    serde_json::from_str(include_str!("sample_keys.json")).unwrap()
}

/// Writes a JWKS file of the keys with these ids; removed when dropped.
struct KeyFile(std::path::PathBuf);

impl KeyFile {
    fn of(kids: &[&str]) -> Self {
        let file = Self(std::env::temp_dir().join(format!("bellhop-jwks-{}.json", ulid::Ulid::new())));
        file.write(kids);
        file
    }

    fn write(&self, kids: &[&str]) {
        let keys = samples()["keys"].as_array().unwrap().clone();
        let keys: Vec<Value> =
            keys.into_iter().filter(|key| kids.contains(&key["kid"].as_str().unwrap())).collect();
        std::fs::write(&self.0, json!({ "keys": keys }).to_string()).unwrap();
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn config(jwks: Option<&KeyFile>) -> Auth {
    Auth {
        hs256_secret: Some(Secret::new(SECRET)),
        jwks: jwks.map(|file| file.0.display().to_string()),
        ..Config::default().auth
    }
}

async fn authenticator() -> (Arc<Authenticator>, KeyFile) {
    let file = KeyFile::of(&["rsa", "ec", "ed", "weak"]);
    (Authenticator::start(&config(Some(&file))).await.unwrap(), file)
}

fn claims() -> Value {
    json!({"iss": "bellhop", "aud": "bellhop", "sub": "u1", "account_id": "a1", "role": "agent", "exp": NOW + 60})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().shift_remove(name);
    claims
}

/// Signs with `secret` what stands in `header` and `claims`, whatever it is.
fn forge(header: &str, claims: &str, secret: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{signed}.{signature}")
}

fn sign(claims: &Value) -> String {
    forge(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), SECRET)
}

#[tokio::test]
async fn valid_tokens_of_every_algorithm_are_accepted() {
    let (auth, _file) = authenticator().await;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = samples()["tokens"][algorithm].as_str().unwrap().to_owned();
        let identity = auth.verify_at(&token, NOW).await.unwrap();
        assert_eq!(
            (identity.actor.uid.as_str(), identity.actor.account.as_str()),
            ("u1", "a1"),
            "{algorithm}"
        );
        assert_eq!(identity.actor.conversation_id, "u1", "defaults to the uid");
    }
    let full = json!({
        "iss": "bellhop", "aud": ["other", "bellhop"], "sub": "auth0|a@b.c", "account_id": "a1", "role": "operator",
        "exp": NOW as f64 + 0.5, "nbf": NOW, "conversation": {"id": "c1"}, "name": "Anna\n",
    });
    let identity = auth.verify_at(&sign(&full), NOW).await.unwrap();
    assert_eq!((identity.actor.role, identity.name.as_deref()), (Role::Operator, Some("Anna")));
    assert_eq!(identity.actor.conversation_id, "c1");
}

#[tokio::test]
async fn s01_alg_none_and_empty_signatures_are_refused() {
    let (auth, _file) = authenticator().await;
    for alg in ["none", "None", "nOnE", "", "HS384", "hs256", "PS256"] {
        let header = json!({"alg": alg, "typ": "JWT"}).to_string();
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(claims().to_string()));
        for token in [signed.clone(), format!("{signed}."), forge(&header, &claims().to_string(), SECRET)] {
            assert!(auth.verify_at(&token, NOW).await.is_err(), "{alg} {token}");
        }
    }
    let good = sign(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        format!("{signed}."),
        signed.to_owned(),
        format!("{signed}.{}", &signature[..40]),
        format!("{good}.x"),
    ] {
        assert!(auth.verify_at(&bad, NOW).await.is_err(), "{bad}");
    }
    assert!(auth.verify_at(&good, NOW).await.is_ok());
}

#[tokio::test]
async fn s02_a_public_key_is_no_hs256_secret() {
    let (auth, _file) = authenticator().await;
    let pem = samples()["rsaPublicPem"].as_str().unwrap().to_owned();
    let modulus = samples()["keys"][0]["n"].as_str().unwrap().to_owned();
    for secret in [pem.as_str(), pem.trim(), modulus.as_str(), ""] {
        for header in [r#"{"alg":"HS256","kid":"rsa"}"#, r#"{"alg":"HS256"}"#] {
            let token = forge(header, &claims().to_string(), secret);
            assert_eq!(auth.verify_at(&token, NOW).await.unwrap_err(), AuthError::Signature);
        }
    }
    let only_keys = Auth { hs256_secret: None, ..config(Some(&KeyFile::of(&["rsa"]))) };
    let file = KeyFile::of(&["rsa"]);
    let only_keys = Auth { jwks: Some(file.0.display().to_string()), ..only_keys };
    let auth = Authenticator::start(&only_keys).await.unwrap();
    let token = forge(r#"{"alg":"HS256"}"#, &claims().to_string(), &pem);
    assert_eq!(auth.verify_at(&token, NOW).await.unwrap_err(), AuthError::Signature);
}

#[tokio::test]
async fn s03_key_ids_and_key_urls_lead_nowhere() {
    let (auth, _file) = authenticator().await;
    let rs256 = samples()["tokens"]["RS256"].as_str().unwrap().to_owned();
    let (_, rest) = rs256.split_once('.').unwrap();
    let long = "k".repeat(10_000);
    for kid in ["unknown", "../../dev/null", "x' OR '1'='1", "{\"$ne\":null}", "a\nb", "", "ec", &long] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": kid}).to_string());
        assert!(auth.verify_at(&format!("{header}.{rest}"), NOW).await.is_err(), "{kid:.20}");
    }
    for header in [
        json!({"alg": "RS256", "jku": "http://127.0.0.1:1/jwks"}),
        json!({"alg": "RS256", "x5u": "file:///dev/null"}),
        json!({"alg": "RS256", "jwk": samples()["keys"][0]}),
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
        json!({"alg": "HS256", "kid": 7}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "zip": "DEF"}),
    ] {
        let token = forge(&header.to_string(), &claims().to_string(), "secret");
        assert!(auth.verify_at(&token, NOW).await.is_err(), "{header}");
    }
    let weak = samples()["tokens"]["weak"].as_str().unwrap().to_owned();
    assert!(auth.verify_at(&weak, NOW).await.is_err(), "an RSA key of 1024 bits is not used");
}

#[tokio::test]
async fn s04_times_hold_within_the_leeway() {
    let (auth, _file) = authenticator().await;
    for (claims, expected) in [
        (with("exp", json!(NOW - 29)), None),
        (with("exp", json!(NOW - 30)), Some(AuthError::Time)),
        (with("exp", json!(NOW - 60)), Some(AuthError::Time)),
        (with("nbf", json!(NOW + 30)), None),
        (with("nbf", json!(NOW + 31)), Some(AuthError::Time)),
        (with("iat", json!(NOW + 31)), Some(AuthError::Time)),
        (with("iat", json!(-1)), Some(AuthError::Claims)),
        (with("exp", json!("9999999999")), Some(AuthError::Claims)),
        (with("exp", json!(1e300)), Some(AuthError::Claims)),
        (with("exp", json!(null)), Some(AuthError::Claims)),
        (without("exp"), Some(AuthError::Claims)),
    ] {
        assert_eq!(auth.verify_at(&sign(&claims), NOW).await.err(), expected, "{claims}");
    }
}

#[tokio::test]
async fn s05_foreign_and_malformed_claims_are_refused() {
    let (auth, _file) = authenticator().await;
    let long = "a".repeat(129);
    for claims in [
        with("iss", json!("other")),
        with("iss", json!(["bellhop"])),
        without("iss"),
        with("aud", json!("other")),
        with("aud", json!([])),
        without("aud"),
        with("role", json!("root")),
        with("role", json!(["admin"])),
        without("role"),
        with("sub", json!("")),
        with("sub", json!("a/b")),
        with("sub", json!(long)),
        with("sub", json!({"$ne": null})),
        without("sub"),
        with("account_id", json!("a b")),
        with("account_id", json!("a/../b")),
        without("account_id"),
        with("conversation", json!("c1")),
        with("conversation", json!({"id": "a b"})),
        with("name", json!(5)),
    ] {
        assert_eq!(auth.verify_at(&sign(&claims), NOW).await.err(), Some(AuthError::Claims), "{claims}");
    }
    for typ in ["logout+jwt", "dpop+jwt", "JWE"] {
        let token = forge(&json!({"alg": "HS256", "typ": typ}).to_string(), &claims().to_string(), SECRET);
        assert_eq!(auth.verify_at(&token, NOW).await.err(), Some(AuthError::Malformed), "{typ}");
    }
}

#[tokio::test]
async fn s06_doubled_names_and_huge_tokens_are_refused() {
    let (auth, _file) = authenticator().await;
    let doubled = forge(r#"{"alg":"HS256","alg":"none"}"#, &claims().to_string(), SECRET);
    assert!(auth.verify_at(&doubled, NOW).await.is_err());
    let twice = claims().to_string().replacen('{', r#"{"account_id":"other","#, 1);
    assert!(auth.verify_at(&forge(r#"{"alg":"HS256"}"#, &twice, SECRET), NOW).await.is_err());
    let huge = sign(&with("name", json!("n".repeat(1_000_000))));
    for text in [huge.as_str(), "", ".", "..", "a.b.c", "é.é.é", "Bearer x", &".".repeat(8000)] {
        assert_eq!(auth.verify_at(text, NOW).await.err(), Some(AuthError::Malformed), "{text:.20}");
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_the_old_set_survives_a_broken_source() {
    let file = KeyFile::of(&["rsa"]);
    let auth = Authenticator::start(&config(Some(&file))).await.unwrap();
    let (rs256, es256) = (samples()["tokens"]["RS256"].clone(), samples()["tokens"]["ES256"].clone());
    file.write(&["rsa", "ec"]);
    assert!(
        auth.verify_at(es256.as_str().unwrap(), NOW).await.is_ok(),
        "an unknown key id makes us read again"
    );
    std::fs::write(&file.0, "broken").unwrap();
    let eddsa = samples()["tokens"]["EdDSA"].clone();
    assert!(auth.verify_at(eddsa.as_str().unwrap(), NOW).await.is_err());
    assert!(auth.verify_at(rs256.as_str().unwrap(), NOW).await.is_ok());
    let gone = config(Some(&KeyFile::of(&["rsa"])));
    assert!(Authenticator::start(&gone).await.is_err(), "a key file must be there at start");
    let away = Auth { jwks: Some("http://127.0.0.1:9/jwks.json".into()), ..config(None) };
    let auth = Authenticator::start(&away).await.unwrap();
    assert!(auth.verify_at(&sign(&claims()), NOW).await.is_ok(), "a key URL may be away");
}

#[tokio::test]
async fn issued_tokens_are_accepted_and_need_the_secret() {
    let request = TokenRequest {
        account: "a1".to_owned().try_into().unwrap(),
        uid: "u1".to_owned().try_into().unwrap(),
        role: Role::Agent,
        conversation: Some("c9".to_owned().try_into().unwrap()),
        name: Some("Anna".into()),
        ttl: std::time::Duration::from_secs(60),
    };
    let auth = Authenticator::start(&config(None)).await.unwrap();
    let identity = auth.verify(&issue(&config(None), &request).unwrap()).await.unwrap();
    assert_eq!((identity.actor.conversation_id.as_str(), identity.name.as_deref()), ("c9", Some("Anna")));
    let none = Auth { hs256_secret: None, ..config(None) };
    assert!(matches!(issue(&none, &request), Err(IssueError::NoSecret)));
    let header = jsonwebtoken::decode_header(&issue(&config(None), &request).unwrap()).unwrap();
    assert_eq!(header.alg, Header::new(Algorithm::HS256).alg);
}
