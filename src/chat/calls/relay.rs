//! What passes in a relayed call: relayed candidates, and nothing by which one could find the other. Pure.
//!
//! A client that keeps to `iceTransportPolicy: "relay"` sends nothing else anyway. This is for those that do not: a partner
//! who would learn an address must not, whatever either client is made to do.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::config::Networks;
use crate::protocol::{Attribute, Candidate, Description, ErrorCode, Refusal};

/// The only kind that passes.
const RELAY: &str = "relay";
/// What is kept of what follows a candidate's kind; the rest tells of networks (RFC 8839, RFC 6544).
const KEPT: [&str; 3] = ["tcptype", "generation", "ufrag"];

/// What passes of a candidate; `None`: nothing.
///
/// # Errors
/// [`ErrorCode::CandidateRefused`].
pub(super) fn candidate(candidate: Candidate, relays: &Networks) -> Result<Option<Candidate>, Refusal> {
    // The empty one says that there are no more.
    if candidate.candidate.is_empty() {
        return Ok(Some(candidate));
    }
    let passed = attribute(&candidate.candidate, relays)?;
    Ok(passed.map(|line| Candidate { candidate: line, ..candidate }))
}

/// A description without addresses, but for those of relays.
///
/// # Errors
/// [`ErrorCode::CandidateRefused`].
pub(super) fn description(description: Description, relays: &Networks) -> Result<Description, Refusal> {
    let mut sdp = String::with_capacity(description.sdp.len());
    for line in description.sdp.lines() {
        if let Some(line) = self::line(line, relays)? {
            sdp.push_str(&line);
            sdp.push_str("\r\n");
        }
    }
    Ok(Description { sdp, ..description })
}

/// What passes of a line. Names of attributes are known in any case and with any spaces: Firefox reads them so.
fn line<'a>(line: &'a str, relays: &Networks) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some((kind, rest)) = line.split_at_checked(2) else { return Ok(Some(line.into())) };
    Ok(Some(match kind {
        "o=" => {
            let words: Vec<_> = rest.split(' ').take(3).collect();
            format!("o={} IN IP4 127.0.0.1", words.join(" ")).into()
        }
        "c=" => "c=IN IP4 0.0.0.0".into(),
        // The port of the default candidate; 0 says that there is no such media.
        "m=" => {
            let mut words: Vec<_> = rest.split(' ').collect();
            if let Some(port) = words.get_mut(1).filter(|port| **port != "0") {
                *port = "9";
            }
            format!("m={}", words.join(" ")).into()
        }
        "a=" => match attribute_name(rest).as_str() {
            "candidate" => return Ok(attribute(rest, relays)?.map(|attribute| format!("a={attribute}").into())),
            "remote-candidates" => return Ok(None),
            "rtcp" => "a=rtcp:9 IN IP4 0.0.0.0".into(),
            _ => line.into(),
        },
        _ => line.into(),
    }))
}

/// An attribute's name by its letters and hyphens alone: there is nothing else in those that are looked for, and whatever
/// else is seen there, a reader may pass over.
fn attribute_name(rest: &str) -> String {
    let name = rest.split(':').next().unwrap_or_default().chars();
    name.filter(|c| c.is_ascii_alphabetic() || *c == '-').map(|c| c.to_ascii_lowercase()).collect()
}

/// What passes of a candidate-attribute.
fn attribute(text: &str, relays: &Networks) -> Result<Option<String>, Refusal> {
    let Some(Attribute { address, kind, head, more }) = Attribute::of(text) else { return Ok(None) };
    if kind != RELAY {
        return Ok(None);
    }
    let Some(address) = address.parse().ok().filter(|address| is_relay(*address, relays)) else {
        let message = "A relayed candidate must have the address of a relay of this service.";
        return Err(Refusal::new(ErrorCode::CandidateRefused, message));
    };
    let nowhere = if address.is_ipv4() { "0.0.0.0" } else { "::" };
    let mut line = format!("{} raddr {nowhere} rport 0", head.join(" "));
    for (name, value) in more.into_iter().filter(|(name, _)| KEPT.contains(name)) {
        line.push_str(&format!(" {name} {value}"));
    }
    Ok(Some(line))
}

/// Whether a relay can be there: where the settings say, or else anywhere in public.
fn is_relay(address: IpAddr, relays: &Networks) -> bool {
    let address = address.to_canonical();
    if relays.is_empty() { is_public(address) } else { relays.contains(address) }
}

/// Whether an address is one of the public internet, by the registries of special ones (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let special = address.is_unspecified()
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation();
            let more = matches!(
                (a, b, c),
                (0 | 240..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _)
            );
            !special && !more
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            // 2000::/3 is all that is given out; within it: Teredo and other protocols, documentation, 6to4.
            first & 0xe000 == 0x2000 && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8)) && first != 0x2002
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::DescriptionKind;

    fn pass(line: &str) -> Result<Option<String>, ErrorCode> {
        let candidate =
            Candidate { candidate: line.to_owned(), sdp_mid: None, sdp_m_line_index: None, username_fragment: None };
        let passed = self::candidate(candidate, &Networks::default());
        passed.map(|passed| passed.map(|it| it.candidate)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn of_candidates_only_those_of_relays_pass_and_tell_nothing_else() {
        for kind in ["host", "srflx raddr 10.0.0.1 rport 9", "prflx raddr 10.0.0.1 rport 9", "other", "RELAY"] {
            assert_eq!(pass(&format!("candidate:1 1 udp 1 203.0.114.7 5 typ {kind}")), Ok(None), "{kind}");
        }
        assert_eq!(pass("candidate:1 1 udp 1 6e1a2f30.local 5 typ host"), Ok(None));
        assert_eq!(pass(""), Ok(Some(String::new())));
        let line = "candidate:1 1 udp 41885439 8.8.4.4 50000 typ relay raddr 198.51.100.4 rport 46154 generation 0 ufrag \
                    Hq3f network-id 3 network-cost 10";
        let passed = "candidate:1 1 udp 41885439 8.8.4.4 50000 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag Hq3f";
        assert_eq!(pass(line), Ok(Some(passed.to_owned())));
        let six = "candidate:1 1 udp 41885439 2606:4700::1111 50000 typ relay raddr 2a00::1 rport 1";
        let passed = "candidate:1 1 udp 41885439 2606:4700::1111 50000 typ relay raddr :: rport 0";
        assert_eq!(pass(six), Ok(Some(passed.to_owned())));
    }

    #[test]
    fn a_relay_is_in_public_or_where_the_settings_say() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2002::1",
            "a.local",
            "one.example",
        ];
        for address in private {
            let line = format!("candidate:1 1 udp 1 {address} 5 typ relay raddr 0.0.0.0 rport 0");
            assert_eq!(pass(&line), Err(ErrorCode::CandidateRefused), "{address}");
        }
        let here = Networks::parse(&["127.0.0.0/8".to_owned()]).unwrap();
        let [local, public] = ["127.0.0.1", "8.8.8.8"].map(|address: &str| address.parse().unwrap());
        assert!(is_relay(local, &here) && !is_relay(public, &here));
        assert!(is_relay(public, &Networks::default()));
    }

    #[test]
    fn lines_that_only_some_browsers_take_for_candidates_do_not_pass_either() {
        let host = "1 1 udp 1 198.51.100.4 46154 typ host";
        let lines = [
            format!("a=CANDIDATE:{host}"),
            format!("a=Candidate:{host}"),
            format!("a= candidate:{host}"),
            format!("a=candidate :{host}"),
            format!("a=\u{feff}candidate:{host}"),
            format!("a=candi\u{200b}date:{host}"),
            format!("a=candidate: {host}"),
            format!("a=candidate:{} 1 udp 1 8.8.4.4 5 typ relay", host.replace(' ', "\u{a0}")),
            "a=RTCP:46155 IN IP4 198.51.100.4".to_owned(),
            "a=Remote-Candidates:1 198.51.100.4 46154".to_owned(),
        ];
        for line in lines {
            let description = Description { kind: DescriptionKind::Offer, sdp: format!("v=0\r\n{line}\r\n") };
            let passed = self::description(description, &Networks::default()).unwrap().sdp;
            assert!(!passed.contains("198.51.100.4"), "{line:?}: {passed}");
        }
    }

    proptest::proptest! {
        /// Whatever is said: what passes is read as a relay by whoever reads it, also with spaces of any kind, and nothing panics.
        #[test]
        fn what_passes_is_a_relay_to_every_reader(words in proptest::collection::vec(
            proptest::sample::select(vec![
                "candidate:1", "1", "udp", "8.8.4.4", "10.0.0.5", "5", "typ", "relay", "host", "raddr", "rport", "", "\u{a0}", "\t",
                "\u{3000}", "\u{2028}", "a=", "x\u{a0}y", "generation", "0",
            ]), 0..14),
            spaces in proptest::collection::vec(proptest::sample::select(vec![" ", "  ", "\u{a0}", "\t"]), 14),
        ) {
            let text: String = words.iter().zip(&spaces).map(|(word, space)| [*word, *space].concat()).collect();
            for text in [text.clone(), text.trim_end().to_owned(), format!("{} {text}", "candidate:1 1 udp 1 8.8.4.4 5 typ relay").trim_end().to_owned()] {
                let description = Description { kind: DescriptionKind::Offer, sdp: format!("v=0\r\na={text}\r\n") };
                let in_sdp = self::description(description, &Networks::default());
                for line in in_sdp.map(|it| it.sdp).unwrap_or_default().lines() {
                    let name = line.strip_prefix("a=").unwrap_or_default().trim().to_lowercase();
                    proptest::prop_assert!(!name.starts_with("candidate") || !name.contains("10.0.0.5"), "{:?}", line);
                }
                if let Ok(Some(line)) = pass(&text) && !line.is_empty() {
                    let words: Vec<_> = line.split_whitespace().collect();
                    proptest::prop_assert_eq!(&words[4..8], &["8.8.4.4", "5", "typ", "relay"][..], "{:?}", line);
                    proptest::prop_assert!(!line.contains("10.0.0.5"), "{:?}", line);
                }
            }
        }
    }

    #[test]
    fn of_a_description_no_address_is_left() {
        let sdp = "v=0\r\no=- 46117 2 IN IP4 198.51.100.4\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
                   m=audio 46154 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP6 2a00::1\r\na=rtcp:46155 IN IP4 198.51.100.4\r\n\
                   a=candidate:1 1 udp 1 198.51.100.4 46154 typ srflx raddr 10.0.0.1 rport 5\r\n\
                   a=candidate:2 1 udp 1 8.8.4.4 50000 typ relay raddr 198.51.100.4 rport 46154\r\n\
                   a=remote-candidates:1 198.51.100.4 46154\r\na=ice-ufrag:Hq3f\r\na=mid:0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n";
        let description = Description { kind: DescriptionKind::Offer, sdp: sdp.to_owned() };
        let stripped = self::description(description, &Networks::default()).unwrap().sdp;
        let expected = "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
                        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
                        a=candidate:2 1 udp 1 8.8.4.4 50000 typ relay raddr 0.0.0.0 rport 0\r\n\
                        a=ice-ufrag:Hq3f\r\na=mid:0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n";
        assert_eq!(stripped, expected);
        let hidden = "v=0\r\na=candidate:2 1 udp 1 10.0.0.1 50000 typ relay raddr 1.2.3.4 rport 5\r\n";
        let description = Description { kind: DescriptionKind::Offer, sdp: hidden.to_owned() };
        assert_eq!(self::description(description, &Networks::default()).unwrap_err().code, ErrorCode::CandidateRefused);
    }
}
