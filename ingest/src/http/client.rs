//! The client's address: the peer's, or behind our own proxies the last one that none of ours wrote.

use std::net::{IpAddr, Ipv4Addr};

use poem::Addr;
use poem::Request;
use shared::config::Network;

/// The client's address, left in the request for handlers and the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Reads it. `X-Forwarded-For` counts only as far as `trusted` proxies have written it: from the right,
/// the first address that is no trusted proxy's.
pub(super) fn address(request: &Request, trusted: &[Network]) -> ClientAddress {
    let peer = match &request.remote_addr().0 {
        Addr::SocketAddr(address) => address.ip().to_canonical(),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let lines = request.headers().get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    ClientAddress(client_of(peer, &hops, trusted))
}

fn client_of(peer: IpAddr, hops: &[&str], trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !is_trusted(client) {
            break;
        }
        let Some(address) = parse(hop) else { break };
        client = address;
    }
    client
}

/// An address, perhaps with a port or brackets, as proxies write it.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let address =
        bare.parse().ok().or_else(|| hop.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_proxies_are_believed() {
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, hops: &[&str]| client_of(peer.parse().unwrap(), hops, &trusted).to_string();
        assert_eq!(client("203.0.113.9", &["1.1.1.1"]), "203.0.113.9", "a stranger's header is not read");
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "198.51.100.7"]),
            "198.51.100.7",
            "what the client wrote is not"
        );
        assert_eq!(client("10.0.0.1", &["198.51.100.7", "10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client_of("10.0.0.1".parse().unwrap(), &["1.1.1.1"], &[]).to_string(), "10.0.0.1");
    }
}
