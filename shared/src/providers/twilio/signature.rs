//! `X-Twilio-Signature`: HMAC-SHA1 over the URL and the sorted form, or over the URL alone for JSON.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The pairs of a form body, values untouched.
pub fn parse_form(raw: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(raw).into_owned().collect()
}

/// Whether `header` signs a form POST to `url` with all its `params`.
///
/// `url` is the one configured at Twilio, with its query. As in Twilio's helper libraries it counts with and
/// without its port, and a field that is given twice with one value counts once. Constant time.
pub fn verify_signature(auth_token: &str, url: &str, params: &[(String, String)], header: &str) -> bool {
    let mut sorted: Vec<&(String, String)> = params.iter().collect();
    sorted.sort();
    sorted.dedup();
    let tail: String = sorted.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
    signs(auth_token, url, &tail, header)
}

/// The same for a JSON body: the query of `url` holds `bodySHA256`, the hex digest of `raw`.
pub fn verify_json_signature(auth_token: &str, url: &str, raw: &[u8], header: &str) -> bool {
    let without_fragment = url.split('#').next().unwrap_or_default();
    let query = without_fragment.split_once('?').map_or("", |(_, query)| query);
    let mut digests = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "bodySHA256");
    let (Some((_, given)), None) = (digests.next(), digests.next()) else { return false };
    let digest = hex::encode(Sha256::digest(raw));
    let same_body: bool = digest.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into();
    signs(auth_token, url, "", header) && same_body
}

fn signs(auth_token: &str, url: &str, tail: &str, header: &str) -> bool {
    let Ok(given) = STANDARD.decode(header.trim()) else { return false };
    if auth_token.is_empty() {
        return false;
    }
    let with = with_port(url).unwrap_or_else(|| url.to_owned());
    let without = without_port(url).unwrap_or_else(|| url.to_owned());
    // All are computed whichever fits, so that the time tells nothing.
    let fits = [url, &with, &without].map(|url| mac(auth_token, url, tail).verify_slice(&given).is_ok());
    fits.iter().any(|fits| *fits)
}

fn mac(auth_token: &str, url: &str, tail: &str) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    mac.update(tail.as_bytes());
    mac
}

/// `url` with the port of its scheme written out, if it has none.
fn with_port(url: &str) -> Option<String> {
    let (scheme, authority, rest) = split(url)?;
    let port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    port_at(authority).is_none().then(|| format!("{scheme}://{authority}:{port}{rest}"))
}

/// `url` without its port.
fn without_port(url: &str) -> Option<String> {
    let (scheme, authority, rest) = split(url)?;
    port_at(authority).map(|at| format!("{scheme}://{}{rest}", &authority[..at]))
}

/// Scheme, authority, and all that follows; the text stays as it is, since it is what was signed.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some((scheme, &rest[..end], &rest[end..]))
}

/// Where `:port` begins, past the brackets of an IPv6 address.
fn port_at(authority: &str) -> Option<usize> {
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    authority[host_end..].rfind(':').map(|at| host_end + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn sign(url: &str, tail: &str) -> String {
        STANDARD.encode(mac("12345", url, tail).finalize().into_bytes())
    }

    #[test]
    fn accepts_the_vectors_in_any_order_of_fields() {
        let zeros = "0".repeat(32);
        let (account, message) = (format!("AC{zeros}"), format!("SM{}1", &zeros[1..]));
        let status = pairs(&[
            ("ErrorCode", "30003"),
            ("AccountSid", &account),
            ("To", "+15005550009"),
            ("From", "+15005550006"),
            ("MessageSid", &message),
            ("MessageStatus", "undelivered"),
        ]);
        let call = pairs(&[
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("Caller", "+14158675309"),
            ("CallSid", "CA1234567890ABCDE"),
        ]);
        let sms = pairs(&[("Body", " hi & bye "), ("From", "+15005550009"), ("To", "+15005550006")]);
        let base = "https://chat.example.com/webhooks/twilio";
        let vectors = [
            ("https://mycompany.com/myapp.php?foo=1&bar=2", call, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (&format!("{base}/status"), status, "LhQOoj7ieDJ8qQMvjiQ0lJdXfAw="),
            (&format!("{base}/sms"), sms, "OlrwlOZcrzZZQSHPSZrS/FahdPA="),
        ];
        for (url, params, signature) in vectors {
            assert!(verify_signature("12345", url, &params, signature), "{url}");
            assert!(!verify_signature("12346", url, &params, signature), "{url}");
            assert!(!verify_signature("12345", &format!("{url}x"), &params, signature), "{url}");
            assert!(!verify_signature("12345", url, &params[1..], signature), "{url}");
            assert!(
                verify_signature("12345", &url.replace(".com/", ".com:443/"), &params, signature),
                "{url}"
            );
        }
    }

    #[test]
    fn counts_with_and_without_the_port() {
        let signed = sign("https://a.example:443/x?y=1", "");
        assert!(verify_signature("12345", "https://a.example/x?y=1", &[], &signed));
        let signed = sign("http://a.example:80", "");
        assert!(verify_signature("12345", "http://a.example", &[], &signed));
        let signed = sign("https://[2606:4700::1]/x", "");
        assert!(verify_signature("12345", "https://[2606:4700::1]:8443/x", &[], &signed));
        assert!(!verify_signature("12345", "http://[2606:4700::1]/x", &[], &signed));
    }

    #[test]
    fn a_field_given_twice_counts_once_per_value() {
        let signed = sign("https://a.example/", "MediaUrlaMediaUrlb");
        let params = pairs(&[("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b")]);
        assert!(verify_signature("12345", "https://a.example/", &params, &signed));
    }

    #[test]
    fn json_bodies_are_bound_by_their_digest() {
        let body = br#"{"a":1}"#;
        let url = format!("https://a.example/x?q=1&bodySHA256={}", hex::encode(Sha256::digest(body)));
        let signed = sign(&url, "");
        assert!(verify_json_signature("12345", &url, body, &signed));
        assert!(!verify_json_signature("12345", &url, br#"{"a":2}"#, &signed));
        let bare = "https://a.example/x";
        assert!(!verify_json_signature("12345", bare, body, &sign(bare, "")));
        let twice = format!("{url}&bodySHA256=00");
        assert!(!verify_json_signature("12345", &twice, body, &sign(&twice, "")));
    }

    #[test]
    fn garbage_and_empty_tokens_verify_nothing() {
        for header in ["", "%%%", "AAAA", "RSOYDt4T1cUTdK1PDd93/VVr8B8"] {
            assert!(!verify_signature("12345", "https://a.example/", &[], header), "{header}");
        }
        let forged = STANDARD.encode(mac("", "https://a.example/", "").finalize().into_bytes());
        assert!(!verify_signature("", "https://a.example/", &[], &forged));
        assert!(!verify_signature("12345", "", &[], "AAAA"));
    }
}
