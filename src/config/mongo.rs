//! Where MongoDB is: a URI whose credentials are never shown.

use std::fmt;

/// The database, where the URI names none.
const DATABASE: &str = "duologue";
/// Longest name of a database, in bytes (MongoDB's bound).
const NAME_BYTES: usize = 63;

/// A place for accounts in MongoDB.
#[derive(Clone, PartialEq, Eq)]
pub struct Mongo {
    uri: String,
    password: Option<String>,
    place: String,
    database: String,
}

impl Mongo {
    /// Reads a URI, as far as it concerns us; the rest is for the driver to say.
    pub(super) fn parse(uri: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = uri
            .split_once("://")
            .filter(|(scheme, _)| ["mongodb", "mongodb+srv"].contains(scheme))
            .ok_or("use mongodb://HOST:27017/DATABASE or mongodb+srv://HOST/DATABASE")?;
        // Neither a slash nor a question mark may stand in credentials but in percent form, as RFC 3986 has it.
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let password = credentials.split_once(':').map(|(_, password)| password.to_owned());
        // Else what is taken for a database or an option is the rest of a password.
        if hosts.is_empty() || tail.contains('@') {
            return Err(
                "names no host, or has credentials that are not percent-encoded (/ is %2F, ? is %3F, @ is %40)",
            );
        }
        let path = tail.split('?').next().unwrap_or_default().trim_start_matches('/');
        let database = if path.is_empty() { DATABASE } else { path };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if database.len() > NAME_BYTES || !database.chars().all(plain) {
            return Err("the name of the database, after the hosts, has up to 63 letters, digits, - and _");
        }
        let place = format!("{scheme}://{hosts}/{database}");
        Ok(Self { uri: uri.to_owned(), password, place, database: database.to_owned() })
    }

    /// All of it, for the driver alone.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The password as the URI has it, to keep it out of what is said.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Without credentials and options: what may be said of it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The database in which accounts are kept.
    pub fn database(&self) -> &str {
        &self.database
    }
}

impl fmt::Debug for Mongo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mongo").field(&self.place).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_place_and_a_database() {
        for (uri, place, database) in [
            ("mongodb://localhost:27017/chat", "mongodb://localhost:27017/chat", "chat"),
            ("mongodb://localhost", "mongodb://localhost/duologue", "duologue"),
            ("mongodb://localhost/?w=1", "mongodb://localhost/duologue", "duologue"),
            ("mongodb://a:1,b:2/x_y-z?replicaSet=r", "mongodb://a:1,b:2/x_y-z", "x_y-z"),
            ("mongodb+srv://ada:s3cret@c.example.net?w=majority", "mongodb+srv://c.example.net/duologue", "duologue"),
            ("mongodb://ada:s3cr%2Fet@[::1]:27017/chat?authSource=admin", "mongodb://[::1]:27017/chat", "chat"),
        ] {
            let mongo = Mongo::parse(uri).unwrap();
            assert_eq!((mongo.uri(), mongo.place(), mongo.database()), (uri, place, database));
            assert!(!format!("{mongo:?}").contains("s3cr"), "{mongo:?}");
        }
        assert_eq!(Mongo::parse("mongodb://ada:s3:4@h").unwrap().password(), Some("s3:4"));
    }

    #[test]
    fn what_names_none_is_refused() {
        let long = format!("mongodb://h/{}", "x".repeat(64));
        for uri in [
            "",
            "localhost",
            "redis://h",
            "mongodb://",
            "mongodb://a:b@",
            "mongodb://a:b/c@h",
            "mongodb://h/a.b",
            &long,
        ] {
            assert!(Mongo::parse(uri).is_err(), "{uri}");
        }
    }
}
