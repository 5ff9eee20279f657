//! Where a client is linked from, and whether its person looks there: what of its address and of its
//! User-Agent is kept, and in which words; what a partner is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::accounts::is_device_id;
use super::{Chat, Participant, Person};
use crate::protocol::{Attention, Device, Partner, Presence, UserId, Whence};

/// Longest name that a program of its own has, in bytes.
const MOST_NAME: usize = 64;

impl Chat {
    /// What is kept of a link's other end: the device by its hello and its User-Agent, the address cut
    /// short, and the place where it is.
    pub fn whence(&self, address: Option<IpAddr>, agent: Option<&str>, device: Option<String>) -> Whence {
        let agent = agent.unwrap_or_default();
        Whence {
            device: Some(Device {
                // What cannot be shown to the one who has it is left out.
                id: device.filter(|id| is_device_id(id)),
                browser: browser(agent).to_owned(),
                platform: platform(agent).to_owned(),
            }),
            address: address.map(|address| truncated(address).to_string()),
            place: address.and_then(|address| self.places.of(address)),
        }
    }

    /// Where the newest session of a person comes from; `None`: they have none here.
    pub fn whence_of(&self, user: UserId) -> Option<Arc<Whence>> {
        self.hub.whence(user)
    }
}

impl Participant {
    /// The client's link comes from there.
    pub fn comes_from(&self, whence: Whence) {
        self.person.member.set_whence(whence);
    }

    /// Where the client's last link came from.
    pub fn whence(&self) -> Arc<Whence> {
        self.person.member.whence()
    }

    /// The person looks here, or elsewhere. A partner is told if that is news.
    pub fn present(&self, attention: Attention) {
        let (away, presence) = match attention {
            Attention::Online => (false, Presence::Online),
            Attention::Away => (true, Presence::Away),
        };
        if self.person.member.set_away(away)
            && let Some(talk) = self.person.talk()
        {
            // The partner may have left in this very moment; then there is nobody to tell.
            drop(talk.status(presence));
        }
    }
}

impl Person {
    /// As their partner sees them.
    pub(super) fn as_partner(&self) -> Partner {
        let place = self.places.shown(self.member.whence().place.as_ref());
        Partner { user: self.member.user.clone(), place }
    }
}

/// The network that an address is in: IPv4 to 24 bits, IPv6 to the 48 that a site has (RFC 6177).
fn truncated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// The browser that a User-Agent names. The order counts: most of them name Chrome and Safari too.
pub fn browser(agent: &str) -> &str {
    const KNOWN: [(&str, &str); 8] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    if let Some((_, name)) = KNOWN.iter().find(|(mark, _)| agent.contains(mark)) {
        return name;
    }
    // A program of its own: what it calls itself, within reason (a product is ASCII, RFC 9110 section 10.1.5).
    let name = agent.split(['/', ' ']).next().unwrap_or_default();
    let odd = name.is_empty() || name.len() > MOST_NAME || !name.bytes().all(|byte| byte.is_ascii_graphic());
    if odd { "unknown" } else { name }
}

/// The operating system that a User-Agent names. Android names Linux, iOS names macOS.
pub fn platform(agent: &str) -> &'static str {
    const KNOWN: [(&str, &str); 8] = [
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Macintosh", "macOS"),
        ("Linux", "Linux"),
    ];
    KNOWN.iter().find(|(mark, _)| agent.contains(mark)).map_or("unknown", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_its_user_agent() {
        let iphone =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0";
        assert_eq!((browser(iphone), platform(iphone)), ("Safari", "iOS"));
        assert_eq!((browser(edge), platform(edge)), ("Edge", "Windows"));
        assert_eq!((browser("curl/8.5.0"), platform("curl/8.5.0")), ("curl", "unknown"));
        assert_eq!((browser(""), platform("")), ("unknown", "unknown"));
        for odd in ["\u{202e}lruc/8", "a\nb/1", &"x".repeat(MOST_NAME + 1)] {
            assert_eq!(browser(odd), "unknown", "{odd:?}");
        }
    }

    #[test]
    fn an_address_is_cut_to_its_network() {
        for (address, network) in [
            ("198.51.100.77", "198.51.100.0"),
            ("255.255.255.255", "255.255.255.0"),
            ("2001:db8:7:8:9:a:b:c", "2001:db8:7::"),
            ("::1", "::"),
        ] {
            assert_eq!(truncated(address.parse().unwrap()).to_string(), network);
        }
    }
}
