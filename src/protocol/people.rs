//! People as they are shown: to themselves, and to their partner.

use serde::{Deserialize, Serialize};

use super::heard::PublicUser;

/// A person as they see themselves, in the session of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Myself {
    /// As others see them.
    #[serde(flatten)]
    pub user: PublicUser,
    /// Where they are linked from.
    #[serde(flatten)]
    pub whence: Whence,
}

/// A person as their partner sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// As everyone sees them.
    #[serde(flatten)]
    pub user: PublicUser,
    /// Where they are, as far as the service shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where a client is linked from. Only its own person sees it all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whence {
    /// The device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The network's address, truncated: IPv4 to 24 bits, IPv6 to 48.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What is known of where that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What a client runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What its hello calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The browser or program, as far as it tells; else `unknown`.
    pub browser: String,
    /// The operating system, as far as it tells; else `unknown`.
    pub platform: String,
}

/// A place on the map, as well as an address tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// ISO 3166-1, two letters.
    pub country: String,
    /// Its English name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_name: Option<String>,
    /// The city's English name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
}
