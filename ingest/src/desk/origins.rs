//! Where a widget may stand: origins as browsers write them.

use url::Url;

/// The origin that `text` names, as browsers write it: scheme, host and a port that is not the scheme's own.
/// `None` for anything but a plain `http` or `https` origin.
pub(super) fn normalized(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    // A star is a host to the parser; it would match no browser.
    let named = url.host_str().is_some_and(|host| !host.contains('*'));
    let web = matches!(url.scheme(), "http" | "https") && named;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none();
    (web && bare && nobody).then(|| url.origin().ascii_serialization())
}

/// Whether a request from `origin` may use a token with the list `allowed`. No origin is no browser; an empty list
/// means any.
pub(super) fn allows(allowed: &[String], origin: Option<&str>) -> bool {
    match origin {
        None => true,
        Some(_) if allowed.is_empty() => true,
        Some(origin) => normalized(origin).is_some_and(|origin| allowed.contains(&origin)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let allowed = vec![normalized("HTTPS://Shop.Example:443/").expect("an origin")];
        assert_eq!(allowed, ["https://shop.example"]);
        for good in [None, Some("https://shop.example"), Some("https://shop.example:443")] {
            assert!(allows(&allowed, good), "{good:?}");
        }
        for bad in [
            "null",
            "",
            "http://shop.example",
            "https://shop.example:8443",
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://shop.example@evil.example",
            "https://sub.shop.example",
        ] {
            assert!(!allows(&allowed, Some(bad)), "{bad}");
            assert!(allows(&[], Some(bad)));
        }
    }

    #[test]
    fn only_plain_web_origins_are_listed() {
        assert_eq!(normalized("http://localhost:3000").as_deref(), Some("http://localhost:3000"));
        for bad in [
            "shop.example",
            "*",
            "https://*",
            "https://shop.example/path",
            "https://shop.example/?q",
            "https://a:b@shop.example",
            "ftp://shop.example",
            "javascript:alert(1)",
        ] {
            assert_eq!(normalized(bad), None, "{bad}");
        }
    }
}
