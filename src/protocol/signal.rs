//! What two people's browsers tell each other to set up a call: the shapes of the WebRTC specification
//! (section 4.6 `RTCSessionDescription`, section 4.8 `RTCIceCandidate`), passed on as they are.

use serde::{Deserialize, Serialize};

use super::event::Check;
use super::ids::{CallId, OfferId};
use super::reason::{ErrorCode, Refusal};

/// Longest SDP, in bytes: below the limit of a frame, which has more to hold.
pub const MAX_SDP: usize = 48 * 1024;
/// Longest line of a candidate, mid or fragment, in bytes.
pub const MAX_CANDIDATE: usize = 1024;
/// Most candidates of one side for one offer.
pub const MAX_CANDIDATES: u32 = 50;

/// `webrtc:offer`, from and to either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallOffer {
    /// The description of the one who offers.
    pub offer: Description,
    /// What is to be seen or heard.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// The call it belongs to; absent: it calls by itself, as in the original API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The offer's name, where it belongs to a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OfferId>,
    /// How often the call was set up anew before it; absent: never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
}

/// What goes without saying.
pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `webrtc:answer`, from and to either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallAnswer {
    /// The description of the one who answers.
    pub answer: Description,
    /// The call it belongs to, if that of its offer does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The offer that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OfferId>,
}

/// `webrtc:ice-candidate`, from and to either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallCandidate {
    /// One address to try; `null`: there are no more.
    pub candidate: Option<Candidate>,
}

/// `webrtc:candidates`, from and to either side: several at once, of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallCandidates {
    /// The call they belong to.
    pub call: CallId,
    /// The offer that they are for, or for the answer to which.
    pub id: OfferId,
    /// Addresses to try, at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// There are no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// Sound.
    Audio,
    /// Sound and picture.
    Video,
}

/// An `RTCSessionDescription`. What a browser adds to it is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its part in the negotiation.
    #[serde(rename = "type")]
    pub kind: DescriptionKind,
    /// The session description (RFC 8866), at most [`MAX_SDP`] bytes.
    #[serde(default)]
    pub sdp: String,
}

/// An `RTCSdpType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescriptionKind {
    /// An offer.
    Offer,
    /// An answer that may change.
    Pranswer,
    /// An answer.
    Answer,
    /// The last offer is taken back.
    Rollback,
}

/// An `RTCIceCandidateInit`. What a browser adds to it is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The candidate-attribute (RFC 8839 section 5.1); empty: there are no more of this generation.
    pub candidate: String,
    /// The media stream's identification tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// The media description's place in the SDP.
    #[serde(default, rename = "sdpMLineIndex", skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

impl Check for CallOffer {
    fn check(&self) -> Result<(), Refusal> {
        named(self.call.is_some(), self.id.is_some())?;
        self.offer.check()
    }
}

impl Check for CallAnswer {
    fn check(&self) -> Result<(), Refusal> {
        named(self.call.is_some(), self.id.is_some())?;
        self.answer.check()
    }
}

impl Check for Description {
    fn check(&self) -> Result<(), Refusal> {
        within("an sdp", self.sdp.len(), MAX_SDP)?;
        // A rollback has none.
        if self.kind == DescriptionKind::Rollback && self.sdp.is_empty() || is_sdp(&self.sdp) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::SdpInvalid, "The description is no SDP: lines such as v=0, the first of all."))
    }
}

impl Check for CallCandidate {
    fn check(&self) -> Result<(), Refusal> {
        self.candidate.iter().try_for_each(Check::check)
    }
}

impl Check for CallCandidates {
    fn check(&self) -> Result<(), Refusal> {
        if self.candidates.len() > MAX_CANDIDATES as usize {
            return Err(too_many_candidates());
        }
        self.candidates.iter().try_for_each(Check::check)
    }
}

impl Check for Candidate {
    fn check(&self) -> Result<(), Refusal> {
        let texts = [Some(&self.candidate), self.sdp_mid.as_ref(), self.username_fragment.as_ref()];
        texts.into_iter().flatten().try_for_each(|text| within("a part of a candidate", text.len(), MAX_CANDIDATE))?;
        // The empty one says that there are no more.
        if self.candidate.is_empty() || Attribute::of(&self.candidate).is_some() {
            return Ok(());
        }
        let message =
            "A candidate is a candidate-attribute: candidate:FOUNDATION 1 udp PRIORITY ADDRESS PORT typ TYPE.";
        Err(Refusal::new(ErrorCode::CandidateInvalid, message))
    }
}

/// What a candidate-attribute says (RFC 8839, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// An IP address, or a name in mDNS.
    pub address: &'a str,
    /// `host`, `srflx`, `prflx` or `relay`, or what comes after them.
    pub kind: &'a str,
    /// From `candidate:FOUNDATION` to its kind, as they were written.
    pub head: [&'a str; 8],
    /// What follows, name by name.
    pub more: Vec<(&'a str, &'a str)>,
}

impl<'a> Attribute<'a> {
    /// Reads one, with or without the `a=` that leads it in. `None`: it is none. There is one way to read what passes: words of
    /// visible ASCII with one space between them, so that nobody finds other words in it than were found here.
    pub fn of(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix("a=").unwrap_or(text);
        let words: Vec<_> = text.split(' ').collect();
        let plain = words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic()));
        let (head, more) = words.split_first_chunk::<8>()?;
        let [foundation, component, _transport, priority, address, port, typ, kind] = *head;
        let named = foundation.strip_prefix("candidate:").is_some_and(|name| !name.is_empty());
        let numbers = [component, priority, port].iter().all(|word| word.parse::<u32>().is_ok());
        let (pairs, odd) = more.as_chunks::<2>();
        let fits = plain && named && numbers && typ == "typ" && odd.is_empty();
        fits.then(|| Self {
            address,
            kind,
            head: *head,
            more: pairs.iter().map(|[name, value]| (*name, *value)).collect(),
        })
    }
}

/// Whether a text has the form of a session description (RFC 8866): its version, then lines of one letter each.
fn is_sdp(text: &str) -> bool {
    let mut lines = text.lines();
    lines.next() == Some("v=0")
        && lines.all(|line| match line.as_bytes() {
            [] => true,
            [letter, b'=', ..] => letter.is_ascii_lowercase() && !line.chars().any(char::is_control),
            _ => false,
        })
}

/// The refusal of more candidates than there may be.
pub fn too_many_candidates() -> Refusal {
    Refusal::new(ErrorCode::CandidateLimit, format!("One side has at most {MAX_CANDIDATES} candidates for one offer."))
}

fn named(call: bool, id: bool) -> Result<(), Refusal> {
    if call == id {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::InvalidData, "call and id are told both, or neither"))
}

fn within(what: &str, length: usize, most: usize) -> Result<(), Refusal> {
    if length <= most {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::InvalidData, format!("{what} has at most {most} bytes; this one has {length}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_lines_of_a_letter_each_and_begins_with_its_version() {
        for sdp in ["v=0", "v=0\r\n", "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "v=0\na=x\n\n"] {
            assert!(is_sdp(sdp), "{sdp:?}");
        }
        for text in ["", "hello", "v=1\r\n", "o=-\r\nv=0\r\n", "v=0\r\n<script>", "v=0\r\na=\u{0}", "v=0 \r\n", "{}"] {
            assert!(!is_sdp(text), "{text:?}");
        }
    }

    #[test]
    fn a_candidate_says_where_it_leads() {
        fn of(text: &str) -> Option<(&str, &str)> {
            Attribute::of(text).map(|it| (it.address, it.kind))
        }
        let line =
            "candidate:842163049 1 udp 1677729535 198.51.100.4 46154 typ srflx raddr 10.0.0.1 rport 46154 generation 0";
        assert_eq!(of(line), Some(("198.51.100.4", "srflx")));
        let with_a = format!("a={line}");
        assert_eq!(of(&with_a), Some(("198.51.100.4", "srflx")));
        let tcp = "candidate:1 1 TCP 1518280447 6e1a2f30-0c1d.local 9 typ host tcptype active";
        assert_eq!(of(tcp), Some(("6e1a2f30-0c1d.local", "host")));
        assert_eq!(of("candidate:1 1 udp 1 fe80::1 5 typ host"), Some(("fe80::1", "host")));
        for text in [
            "",
            "candidate:",
            "candidate:1 1 udp x 1.2.3.4 5 typ host",
            "candidate:1 1 udp 1 1.2.3.4 5 host",
            "x",
            // What others may read in another way than it is read here.
            "candidate:1 1  1 8.8.4.4 5 typ relay",
            "candidate:1 1 udp 1 8.8.4.4 5 typ relay ",
            " candidate:1 1 udp 1 8.8.4.4 5 typ relay",
            "candidate: 1 udp 1 8.8.4.4 5 typ relay",
            "candidate:1 1 udp 1 8.8.4.4 5 typ relay raddr",
            "candidate:1\u{a0}1\u{a0}udp\u{a0}1\u{a0}10.0.0.5\u{a0}5\u{a0}typ\u{a0}host 1 udp 1 8.8.4.4 5 typ relay",
            "candidate:1 1 u\u{3000}p 1 8.8.4.4 5 typ relay",
            "candidate:1 1 udp 1 8.8.4.4 5 typ relay\r\na=candidate:2 1 udp 1 10.0.0.5 5 typ host",
            "candidate:1\t1 udp 1 8.8.4.4 5 typ relay",
            "CANDIDATE:1 1 udp 1 8.8.4.4 5 typ relay",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }
}
