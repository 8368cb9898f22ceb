//! What the configuration must do: tell all problems, know its keys, hide its secrets.

use std::io::Write as _;
use std::time::Duration;

use super::*;

fn load(env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(None, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn problem(env: &[(&str, &str)]) -> String {
    load(env).unwrap_err().to_string()
}

#[test]
fn defaults_load_and_the_environment_wins() {
    let config = Config::default();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.delivery.timeout, Duration::from_secs(15));
    assert!(config.whatsapp.is_none() && config.keys.current.is_none());
    let config = load(&[
        ("BELLHOP_HTTP__LISTEN", "0.0.0.0:0"),
        ("BELLHOP_DELIVERY__TIMEOUT", "1s"),
        ("BELLHOP_JOBS__LEASE", "6s"),
        ("BELLHOP_WORKERS__CONCURRENCY__WHATSAPP", "8"),
        ("BELLHOP_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1"),
        ("BELLHOP_NET__ALLOW_PRIVATE", "true"),
        ("BELLHOP_AUTH__HS256_SECRET", "12345678901234567890123456789012"),
        ("BELLHOP_WHATSAPP__PHONE_NUMBER_ID", "1234567"),
        ("BELLHOP_WHATSAPP__ACCESS_TOKEN", "true"),
        ("BELLHOP_REDIS__PREFIX", ""),
    ])
    .unwrap();
    assert_eq!(config.workers.concurrency["whatsapp"], 8);
    assert_eq!(config.http.trusted_proxies.len(), 2);
    assert!(config.net.allow_private);
    assert_eq!(config.redis.prefix, "bellhop");
    let whatsapp = config.whatsapp.unwrap();
    assert_eq!((whatsapp.phone_number_id.as_str(), whatsapp.access_token.expose()), ("1234567", "true"));
}

#[test]
fn all_problems_are_told_at_once() {
    let errors = load(&[
        ("BELLHOP_HTTP__LISTEN", "nowhere"),
        ("BELLHOP_DELIVERY__TIMEOUT", "15 parsecs"),
        ("BELLHOP_REDIS__URL", "http://127.0.0.1"),
        ("BELLHOP_SECRETS_KEY", "c2hvcnQ="),
        ("BELLHOP_GUEST__SECRET", "whsec_c2hvcnQ="),
        ("BELLHOP_COMMIT__SLOTS", "0"),
        ("BELLHOP_HTTP__RATE_LIMIT", "fast"),
        ("BELLHOP_LOG__FORMAT", "xml"),
        ("BELLHOP_TWILIO__ACCOUNT_SID", "AC1"),
        ("BELLHOP_NO__SUCH", "x"),
    ])
    .unwrap_err();
    for name in [
        "BELLHOP_HTTP__LISTEN",
        "BELLHOP_DELIVERY__TIMEOUT",
        "BELLHOP_REDIS__URL",
        "BELLHOP_SECRETS_KEY",
        "BELLHOP_GUEST__SECRET",
        "BELLHOP_GUEST__URL",
        "BELLHOP_COMMIT__SLOTS",
        "BELLHOP_HTTP__RATE_LIMIT",
        "BELLHOP_LOG__FORMAT",
        "BELLHOP_TWILIO__AUTH_TOKEN",
        "BELLHOP_TWILIO__FROM",
        "BELLHOP_NO__SUCH",
    ] {
        assert!(errors.names(name), "{name} is not in\n{errors}");
    }
    assert_eq!(errors.0.len(), 12, "{errors}");
    assert!(!errors.to_string().contains("parsecs"), "values are not repeated");
}

#[test]
fn the_lease_must_exceed_the_timeout() {
    assert!(problem(&[("BELLHOP_JOBS__LEASE", "19s")]).contains("BELLHOP_JOBS__LEASE"));
    assert!(load(&[("BELLHOP_JOBS__LEASE", "20s")]).is_ok());
}

#[test]
fn names_of_kubernetes_and_of_the_tests_are_ignored() {
    let env = [
        ("BELLHOP_PORT", "tcp://10.0.0.1:80"),
        ("BELLHOP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("BELLHOP_SERVICE_HOST", "10.0.0.1"),
        ("BELLHOP_INGEST_SERVICE_PORT_HTTP", "80"),
        ("BELLHOP_TEST_MONGODB", "x"),
        ("BELLHOP_CACHE", "x"),
        ("PATH", "x"),
    ];
    assert!(load(&env).is_ok());
    assert!(load(&[("BELLHOP_HTTP_LISTEN", "127.0.0.1:1")]).unwrap_err().names("BELLHOP_HTTP_LISTEN"));
    assert!(load(&[("bellhop_http__listen", "nowhere")]).is_ok(), "names are in capitals");
}

#[test]
fn failpoints_and_short_secrets_are_for_loopback_only() {
    assert!(load(&[("FP", "commit.before:abort")]).is_ok());
    assert!(problem(&[("FP", "commit.before:explode")]).contains("FP"));
    let public = ("BELLHOP_PUBLIC_URL", "https://chat.example.com");
    assert!(problem(&[("FP", "commit.before:abort"), public]).contains("FP: failpoints are for tests"));
    assert!(load(&[("FP", ""), public]).is_ok());
    assert!(load(&[("BELLHOP_AUTH__HS256_SECRET", "short")]).is_ok());
    assert!(load(&[("BELLHOP_AUTH__HS256_SECRET", "short"), public]).is_err());
    assert!(load(&[("BELLHOP_PUBLIC_URL", "http://[::1]:9/")]).unwrap().is_loopback());
    assert!(!load(&[("BELLHOP_PUBLIC_URL", "http://localhost.example.com/")]).unwrap().is_loopback());
}

#[test]
fn debug_masks_every_secret() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let config = load(&[
        ("BELLHOP_SECRETS_KEY", key),
        ("BELLHOP_SECRETS_KEYS_OLD", key),
        ("BELLHOP_MONGODB__URI", "mongodb://u:canary@h/"),
        ("BELLHOP_REDIS__URL", "redis://:canary@h/"),
        ("BELLHOP_ELASTICSEARCH__URL", "http://u:canary@h/"),
        ("BELLHOP_AUTH__HS256_SECRET", "canary"),
        ("BELLHOP_WHATSAPP__PHONE_NUMBER_ID", "1"),
        ("BELLHOP_WHATSAPP__ACCESS_TOKEN", "canary"),
        ("BELLHOP_WHATSAPP__APP_SECRET", "canary"),
        ("BELLHOP_WHATSAPP__VERIFY_TOKEN", "canary"),
        ("BELLHOP_TWILIO__ACCOUNT_SID", "AC1"),
        ("BELLHOP_TWILIO__AUTH_TOKEN", "canary"),
        ("BELLHOP_TWILIO__FROM", "+15005550006"),
        ("BELLHOP_GUEST__URL", "http://h/"),
        ("BELLHOP_GUEST__SECRET", "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"),
        ("BELLHOP_SMTP__URL", "smtp://u:canary@h/"),
        ("BELLHOP_SMTP__FROM", "a@example.com"),
    ])
    .unwrap();
    let shown = format!("{config:?}");
    for hidden in ["canary", "Y2FuYXJ5", key, "0, 1, 2, 3"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_mail_server_is_checked_before_the_first_mail() {
    let secret = ("BELLHOP_AUTH__HS256_SECRET", "12345678901234567890123456789012");
    let with = |url: &str, from: &str| {
        load(&[("BELLHOP_SMTP__URL", url), ("BELLHOP_SMTP__FROM", from), secret]).map(|c| c.smtp.is_some())
    };
    assert_eq!(with("smtp://u:p@mail.example?tls=required", "Acme <support@acme.example>"), Ok(true));
    for (url, from) in [
        ("smtp://mail.example/x", "a@example.com"),
        ("smtp://mail.example?tls=perhaps", "a@example.com"),
        ("smtp://mail.example", "nobody"),
        ("smtp://mail.example", "a@b@c"),
        ("smtp://mail.example", "a@example.com, b@example.com"),
    ] {
        assert!(with(url, from).is_err(), "{url} {from}");
    }
    let unsigned = [("BELLHOP_SMTP__URL", "smtp://mail.example"), ("BELLHOP_SMTP__FROM", "a@example.com")];
    assert!(load(&unsigned).unwrap_err().names("BELLHOP_SECRETS_KEY"), "the links need a key");
}

#[test]
fn the_file_is_read_between_defaults_and_environment() {
    let path = std::env::temp_dir().join(format!("bellhop-config-{}.toml", std::process::id()));
    let write = |text: &str| {
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let load = |env: &[(&str, &str)]| {
        Config::load(Some(&path), env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    };
    write("[http]\nlisten = \"127.0.0.1:9\"\nrate_burst = 7\n[retry]\nbase = \"2s\"\n");
    let config = load(&[("BELLHOP_RETRY__BASE", "3s")]).unwrap();
    assert_eq!((config.http.listen.port(), config.http.rate_burst.get()), (9, 7));
    assert_eq!(config.retry.base, Duration::from_secs(3));
    write("[http]\nlisten = 9\ncolour = \"red\"\n[retry]\nbase = \"2s\"\n[sms]\nx = 1\n");
    let errors = load(&[]).unwrap_err().to_string();
    for part in ["BELLHOP_HTTP__LISTEN: must be a text", "unknown key http.colour", "unknown key sms.x"] {
        assert!(errors.contains(part), "{errors}");
    }
    write("http = \"flat\"");
    assert!(load(&[]).unwrap_err().to_string().contains("unknown key http"));
    write("secret = \"canary");
    let errors = load(&[]).unwrap_err().to_string();
    assert!(errors.contains("not TOML, near line 1") && !errors.contains("canary"), "{errors}");
    std::fs::remove_file(&path).unwrap();
    assert!(load(&[]).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn the_defaults_file_and_the_structs_have_the_same_keys() {
    let (layers, problems) = layers::merge(None, &[]);
    let mut reader = Reader::new(layers, problems);
    Config::read(&mut reader);
    assert_eq!(reader.asked, layers::known_keys());
}

#[test]
fn every_key_of_the_defaults_file_has_a_comment() {
    let mut before = "";
    for line in DEFAULTS.lines() {
        let is_key = !line.starts_with('#') && line.contains(" = ");
        assert!(!is_key || before.starts_with("# "), "no comment above: {line}");
        before = line;
    }
}

#[test]
fn ingest_needs_a_way_to_verify_tokens() {
    assert!(Config::default().check_ingest().unwrap_err().names("BELLHOP_AUTH__HS256_SECRET"));
    assert!(load(&[("BELLHOP_AUTH__JWKS", "keys.json")]).unwrap().check_ingest().is_ok());
}
