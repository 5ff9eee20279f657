//! Which proxies may say for whom they speak, and so which address a request counts for.
//!
//! Pure: an address and headers in, an address out. Every HTTP door asks here, so that all limits
//! count the same people.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;

/// The way that a request took, by those who passed it on: the last one wrote at the right.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks whose word about an address is taken. Empty: nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads addresses and networks in CIDR notation (RFC 4632, RFC 4291 section 2.3).
    ///
    /// # Errors
    /// The first that is neither.
    pub fn parse<'a>(list: &'a [String]) -> Result<Self, &'a str> {
        let network = |text: &'a String| {
            let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            text.parse::<IpNet>().or(address).map(|network| network.trunc()).map_err(|_| text.as_str())
        };
        list.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all addresses of a kind are listed: then whoever connects may say who they are.
    pub(super) fn is_everyone(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether an address is that of a listed proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whose request this is. `peer` is at the other end of the connection. Where that is a listed proxy,
/// the address that it wrote last into `X-Forwarded-For` is taken instead, and so on to the left for
/// as long as the address is a listed proxy's. What stands further left is what the client says, and
/// nobody's word; nor is anything read past an entry that is no address.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>().into_iter().rev();
    let mut entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    while trusted.contains(address) {
        match entries.next().and_then(written) {
            Some(before) => address = before,
            None => break,
        }
    }
    address
}

/// An entry: an address, or with a port as some proxies write it.
fn written(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.unwrap_or(entry).parse::<IpAddr>();
    let address = address.or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(list: &[&str]) -> Networks {
        Networks::parse(&list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_address_is_counted_from_the_right_behind_listed_proxies_only() {
        let one = &["10.0.0.1"][..];
        let many = &["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"][..];
        for (proxies, peer, lines, expected) in [
            // Nobody is listed, or not the one who speaks: what is written is the client's own word.
            (&[][..], "192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            (one, "192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            (one, "10.0.0.2", &["198.51.100.7"], "10.0.0.2"),
            // One proxy: the last entry is the client, whatever it wrote before.
            (one, "10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (one, "10.0.0.1", &["1.1.1.1, 10.0.0.9,198.51.100.7 "], "198.51.100.7"),
            (one, "10.0.0.1", &["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
            (one, "::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            // Several: as far as they are listed, and no further.
            (many, "127.0.0.1", &["1.1.1.1, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
            (many, "127.0.0.1", &["1.1.1.1, 198.51.100.7", "10.2.3.4, 2001:db8::7"], "198.51.100.7"),
            (one, "10.0.0.1", &["198.51.100.7, 10.2.3.4"], "10.2.3.4"),
            // All of them are: the client is one too.
            (many, "127.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            // With ports and brackets.
            (many, "127.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            (many, "127.0.0.1", &["[2001:db9::1]:4711, [2001:db8::1]"], "2001:db9::1"),
            // What is no address stops the reading: whoever wrote it is the last who is known.
            (many, "127.0.0.1", &[], "127.0.0.1"),
            (many, "127.0.0.1", &[""], "127.0.0.1"),
            (many, "127.0.0.1", &["198.51.100.7, unknown"], "127.0.0.1"),
            (many, "127.0.0.1", &["198.51.100.7,, 10.1.1.1"], "10.1.1.1"),
            (many, "127.0.0.1", &["198.51.100.7", "_hidden, 10.1.1.1"], "10.1.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let found = client_address(peer.parse().unwrap(), &headers, &trusted(proxies));
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{proxies:?} {peer} {lines:?}");
        }
        // Bytes that are no text are no address either.
        let headers = HeaderMap::from_iter([(FORWARDED_FOR, http::HeaderValue::from_bytes(b"1.1.1.1\xff").unwrap())]);
        let found = client_address("10.0.0.1".parse().unwrap(), &headers, &trusted(one));
        assert_eq!(found, "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0.1:80", "", "*"] {
            assert_eq!(Networks::parse(&["10.0.0.1".to_owned(), wrong.to_owned()]), Err(wrong));
        }
    }
}
