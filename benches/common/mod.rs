//! What the servers of all benchmarks have in common.

use std::path::Path;

/// The settings of a server in this folder, on ports that the system chooses and with limits that nobody meets; and these, which win.
pub fn variables(folder: &Path, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (data, certificates) = (path("data"), path("certs"));
    let usual = [
        ("DUOLOGUE_SERVER_DATA", data.as_str()),
        ("DUOLOGUE_TLS_FOLDER", certificates.as_str()),
        ("DUOLOGUE_LISTEN_HTTP", "127.0.0.1:0"),
        ("DUOLOGUE_LISTEN_HTTPS", "127.0.0.1:0"),
        ("DUOLOGUE_LISTEN_QUIC", "127.0.0.1:0"),
        ("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "1000000"),
        ("DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR", "1000000"),
        ("DUOLOGUE_LIMITS_MATCHES_PER_MINUTE", "1000000"),
    ];
    // Of one name the last counts.
    usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
