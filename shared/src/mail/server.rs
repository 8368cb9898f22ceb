//! The mail server's URL: where it is, who signs in, and whether what is sent is encrypted.

use std::net::IpAddr;

use lettre::transport::smtp::authentication::Credentials;
use percent_encoding::percent_decode_str;
use url::Url;

/// Ports by custom: relay, submission, submission over TLS.
const RELAY: u16 = 25;
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Never.
    None,
    /// By STARTTLS where the server offers it.
    Offered,
    /// By STARTTLS, or nothing is sent.
    Required,
    /// At once.
    Wrapped,
}

/// A mail server. Not `Debug`: it may hold a password.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) credentials: Option<Credentials>,
}

impl Server {
    /// Reads `smtp://user:password@host:port?tls=required` and its like. Without `tls`, a password asks for
    /// encryption unless the server is this machine.
    ///
    /// # Errors
    /// What is wanted instead; never a part of the URL.
    pub(crate) fn parse(url: &Url) -> Result<Self, &'static str> {
        const WANTED: &str =
            "must be smtp://[user:password@]host[:port][?tls=required|opportunistic|none] or smtps://…";
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(WANTED);
        }
        let credentials = credentials(url).ok_or(WANTED)?;
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let asked: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let security = match (url.scheme(), asked.as_slice()) {
            ("smtps", []) => Security::Wrapped,
            ("smtp", []) if credentials.is_some() && !local => Security::Required,
            ("smtp", []) => Security::Offered,
            ("smtp", [(key, value)]) if key == "tls" => match value.as_str() {
                "required" => Security::Required,
                "opportunistic" => Security::Offered,
                "none" => Security::None,
                _ => return Err(WANTED),
            },
            _ => return Err(WANTED),
        };
        let usual = match security {
            Security::Wrapped => SUBMISSIONS,
            Security::Required => SUBMISSION,
            _ if credentials.is_some() => SUBMISSION,
            _ => RELAY,
        };
        Ok(Self { host, port: url.port().unwrap_or(usual), security, credentials })
    }
}

/// User and password, if there are any; `None` when they are not text.
fn credentials(url: &Url) -> Option<Option<Credentials>> {
    let decoded = |text| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let user = decoded(url.username())?;
    let password = decoded(url.password().unwrap_or_default())?;
    if user.is_empty() && password.is_empty() {
        return Some(None);
    }
    Some(Some(Credentials::new(user, password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Option<(String, u16, Security, bool)> {
        let server = Server::parse(&url.parse().expect("a URL")).ok()?;
        Some((server.host, server.port, server.security, server.credentials.is_some()))
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear_over_the_network() {
        let known = |url: &str| read(url).expect("a server");
        assert_eq!(known("smtp://mail.example"), ("mail.example".into(), 25, Security::Offered, false));
        assert_eq!(known("smtp://u:p@mail.example"), ("mail.example".into(), 587, Security::Required, true));
        assert_eq!(known("smtp://u:p@127.0.0.1:2525").2, Security::Offered);
        assert_eq!(known("smtp://u:p@[::1]"), ("::1".into(), 587, Security::Offered, true));
        assert_eq!(known("smtps://u:p@mail.example/"), ("mail.example".into(), 465, Security::Wrapped, true));
        assert_eq!(known("smtp://u:p@mail.example?tls=none").2, Security::None);
        assert_eq!(known("smtp://mail.example:26?tls=required").1, 26);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "smtp://mail.example/path",
            "smtp://mail.example?tls=maybe",
            "smtp://mail.example?tls=none&x=1",
            "smtps://mail.example?tls=none",
            "smtp://mail.example#part",
            "smtp://u%ff:p@mail.example",
            "http://mail.example",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let server = Server::parse(&"smtp://a%40b:p%2Fq@h".parse().expect("a URL")).expect("a server");
        assert!(server.credentials == Some(Credentials::new("a@b".into(), "p/q".into())));
    }
}
