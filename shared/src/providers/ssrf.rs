//! Keeps URLs that clients set away from our own network.
//!
//! The guard acts when connecting: names are resolved by [`GuardedResolver`], which hands on public addresses
//! only, so that a name cannot be rebound between check and use. Literal addresses never reach a resolver and
//! are checked by [`check`], before each request. There are no redirects to follow and no proxy to hide behind.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Why a URL or address is refused. The text is safe to show to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    Malformed,
    Scheme,
    Credentials,
    Port,
    PrivateAddress,
}

impl Blocked {
    /// One sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "not an absolute URL",
            Self::Scheme => "only https is allowed",
            Self::Credentials => "credentials in a URL are not allowed",
            Self::Port => "this port is not allowed",
            Self::PrivateAddress => "private addresses are not allowed",
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error for Blocked {}

/// Refuses a URL that can never pass, without asking a name server. For the moment of commit.
pub fn check_url_static(url: &str, allow_private: bool) -> Result<(), Blocked> {
    check(&Url::parse(url).map_err(|_| Blocked::Malformed)?, allow_private)
}

/// The same for a parsed URL; also done before each request. `url` normalises the odd forms of IPv4
/// (`0x7f.1`, `2130706433`, `127.1`), so that they are literal addresses here.
pub fn check(url: &Url, allow_private: bool) -> Result<(), Blocked> {
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err(Blocked::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Blocked::Credentials);
    }
    if allow_private {
        return url.host().map(|_| ()).ok_or(Blocked::Malformed);
    }
    if url.port().is_some_and(is_service_port) {
        return Err(Blocked::Port);
    }
    let public = match url.host().ok_or(Blocked::Malformed)? {
        Host::Ipv4(v4) => is_public(v4.into()),
        Host::Ipv6(v6) => is_public(v6.into()),
        Host::Domain(name) => !is_local_name(name),
    };
    if public { Ok(()) } else { Err(Blocked::PrivateAddress) }
}

/// Whether `address` is one of the open Internet: global unicast and of no special purpose (IANA registries).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !PRIVATE_V4.iter().any(|(net, prefix)| in_v4(v4, *net, *prefix)),
        // Outside 2000::/3 lie loopback, v4-mapped, NAT64, ULA, link-local, site-local and multicast.
        IpAddr::V6(v6) => {
            in_v6(v6, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
                && !PRIVATE_V6.iter().any(|(net, prefix)| in_v6(v6, *net, *prefix))
        }
    }
}

/// The refusal in the chain of an error of connecting, if the guard caused it.
pub(super) fn blocked(error: &(dyn Error + 'static)) -> Option<Blocked> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(blocked) = error.downcast_ref::<Blocked>() {
            return Some(*blocked);
        }
        next = error.source();
    }
    None
}

/// Resolves names to public addresses only.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    allow_private: bool,
}

impl GuardedResolver {
    /// With `allow_private` it resolves everything (tests).
    pub fn new(allow_private: bool) -> Self {
        Self { allow_private }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(permitted(found, allow_private)?.into_iter()) as Addrs)
        })
    }
}

/// The public ones of `found`; an error when there were addresses but none is public.
fn permitted(found: Vec<SocketAddr>, allow_private: bool) -> Result<Vec<SocketAddr>, Blocked> {
    let known = !found.is_empty();
    let public: Vec<_> = found.into_iter().filter(|a| allow_private || is_public(a.ip())).collect();
    if known && public.is_empty() { Err(Blocked::PrivateAddress) } else { Ok(public) }
}

/// Names that mean this machine or network wherever they are asked for.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    name.is_empty() || ["localhost", "local", "internal", "localdomain"].contains(&last)
}

/// Ports below 1024 other than the web's, and those of stores and brokers that would act on a stray line.
fn is_service_port(port: u16) -> bool {
    const STORES: [u16; 21] = [
        1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 4222, 5432, 5672, 5984, 6000, 6379, 6380, 6443,
        9042, 9200, 9300, 10250,
    ];
    (port < 1024 && port != 80 && port != 443)
        || STORES.contains(&port)
        || (9092..=9094).contains(&port)
        || (11211..=11212).contains(&port)
        || (27017..=27019).contains(&port)
}

const PRIVATE_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier NAT, also cloud metadata
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, cloud metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

const PRIVATE_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo, benchmarks
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: any IPv4 inside
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

fn in_v4(address: Ipv4Addr, net: Ipv4Addr, prefix: u32) -> bool {
    (address.to_bits() ^ net.to_bits()) >> (32 - prefix) == 0
}

fn in_v6(address: Ipv6Addr, net: Ipv6Addr, prefix: u32) -> bool {
    (address.to_bits() ^ net.to_bits()) >> (128 - prefix) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_disguise_of_a_private_address() {
        let private = [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::a00:1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[100::1]",
            "[5f00::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "metadata.google.internal",
            "printer.local",
            "１２７.０.０.１",
        ];
        for host in private {
            let url = format!("https://{host}/x");
            assert_eq!(check_url_static(&url, false), Err(Blocked::PrivateAddress), "{url}");
            assert_eq!(check_url_static(&url, true), Ok(()), "{url}");
        }
    }

    #[test]
    fn refuses_other_schemes_credentials_and_service_ports() {
        let cases = [
            ("http://example.com/", Blocked::Scheme),
            ("file:///etc/passwd", Blocked::Scheme),
            ("gopher://example.com/", Blocked::Scheme),
            ("ftp://example.com/", Blocked::Scheme),
            ("javascript:alert(1)", Blocked::Scheme),
            ("data:text/plain,x", Blocked::Scheme),
            ("https://example.com@127.0.0.1/", Blocked::Credentials),
            ("https://user:pw@example.com/", Blocked::Credentials),
            ("https://example.com:6379/", Blocked::Port),
            ("https://example.com:27017/", Blocked::Port),
            ("https://example.com:22/", Blocked::Port),
            ("/relative", Blocked::Malformed),
            ("", Blocked::Malformed),
            ("https://", Blocked::Malformed),
            ("https://exa mple.com/", Blocked::Malformed),
        ];
        for (url, why) in cases {
            assert_eq!(check_url_static(url, false), Err(why), "{url}");
        }
        assert_eq!(check_url_static("gopher://example.com/", true), Err(Blocked::Scheme));
        assert_eq!(check_url_static("https://a@example.com/", true), Err(Blocked::Credentials));
    }

    #[test]
    fn lets_public_addresses_pass() {
        let public =
            ["example.com", "8.8.8.8", "172.32.0.1", "100.63.255.255", "[2606:4700::1111]", "[2a00:1450::1]"];
        for host in public {
            assert_eq!(check_url_static(&format!("https://{host}:8443/x?y#z"), false), Ok(()), "{host}");
        }
        assert_eq!(check_url_static("https://münchen.example/bild.png", false), Ok(()));
    }

    #[test]
    fn a_rebound_name_keeps_its_public_addresses_only() {
        let addr = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let mixed = vec![addr("10.0.0.1"), addr("8.8.8.8"), addr("::1")];
        assert_eq!(permitted(mixed, false), Ok(vec![addr("8.8.8.8")]));
        assert_eq!(permitted(vec![addr("10.0.0.1")], false), Err(Blocked::PrivateAddress));
        assert_eq!(permitted(vec![addr("10.0.0.1")], true), Ok(vec![addr("10.0.0.1")]));
        assert_eq!(permitted(vec![], false), Ok(vec![]));
    }

    #[tokio::test]
    async fn the_resolver_refuses_names_of_this_machine() {
        let resolver = GuardedResolver::new(false);
        let error = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert_eq!(blocked(error.as_ref()), Some(Blocked::PrivateAddress));
        assert!(GuardedResolver::new(true).resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
