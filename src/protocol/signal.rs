//! What two people's browsers tell each other to set up a call: the shapes of the WebRTC specification
//! (section 4.6 `RTCSessionDescription`, section 4.8 `RTCIceCandidate`), passed on as they are.

use serde::{Deserialize, Serialize};

use super::event::Check;
use super::reason::{ErrorCode, Refusal};

/// Longest SDP, in bytes: below the limit of a frame, which has more to hold.
pub const MAX_SDP: usize = 48 * 1024;
/// Longest line of a candidate, mid or fragment, in bytes.
pub const MAX_CANDIDATE: usize = 1024;

/// `webrtc:offer`, from and to either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallOffer {
    /// The description of the one who offers.
    pub offer: Description,
    /// What is to be seen or heard.
    #[serde(rename = "type")]
    pub kind: CallKind,
}

/// `webrtc:answer`, from and to either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallAnswer {
    /// The description of the one who answers.
    pub answer: Description,
}

/// `webrtc:ice-candidate`, from and to either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallCandidate {
    /// One address to try; `null`: there are no more.
    pub candidate: Option<Candidate>,
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
        self.offer.check()
    }
}

impl Check for CallAnswer {
    fn check(&self) -> Result<(), Refusal> {
        self.answer.check()
    }
}

impl Check for Description {
    fn check(&self) -> Result<(), Refusal> {
        within("an sdp", self.sdp.len(), MAX_SDP)
    }
}

impl Check for CallCandidate {
    fn check(&self) -> Result<(), Refusal> {
        let Some(Candidate { candidate, sdp_mid, username_fragment, .. }) = &self.candidate else { return Ok(()) };
        let texts = [Some(candidate), sdp_mid.as_ref(), username_fragment.as_ref()];
        texts.into_iter().flatten().try_for_each(|text| within("a part of a candidate", text.len(), MAX_CANDIDATE))
    }
}

fn within(what: &str, length: usize, most: usize) -> Result<(), Refusal> {
    if length <= most {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::InvalidData, format!("{what} has at most {most} bytes; this one has {length}")))
}
