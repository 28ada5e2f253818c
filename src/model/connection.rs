//! How a source database is reached. Secrets live only in [`Secret`], which never prints.

use std::fmt;
use std::path::PathBuf;

/// A text that must not be seen. Neither `Debug` nor `Display` prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a database server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket: the socket itself, or for PostgreSQL its directory (`/cloudsql/p:r:i`).
    Socket(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How much TLS protects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// None.
    Disable,
    /// Against listeners; the server's certificate is not looked at.
    Require,
    /// The server's certificate must come from the CA.
    VerifyCa,
    /// The server's certificate must come from the CA and be made out to the host.
    #[default]
    VerifyFull,
}

/// TLS settings of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// How much it protects.
    pub mode: TlsMode,
    /// PEM file of CA certificates; without it the system's are trusted.
    pub ca: Option<PathBuf>,
    /// PEM file of the client's certificate.
    pub cert: Option<PathBuf>,
    /// PEM file of the client's key.
    pub key: Option<PathBuf>,
}

/// How the user proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// By its password, or by none.
    #[default]
    Password,
    /// By a token of the Google identity that Highwater runs as (Cloud SQL, IAM database authentication).
    Iam,
}

/// How to connect to one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where the server listens.
    pub address: Address,
    /// The user.
    pub user: String,
    /// How it proves who it is.
    pub login: Login,
    /// The user's password, if it needs one; none with [`Login::Iam`].
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// TLS; not used on a Unix socket.
    pub tls: Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_printed() {
        let connection = Connection {
            address: Address::Tcp { host: "db".to_owned(), port: 5432 },
            user: "reader".to_owned(),
            login: Login::Password,
            password: Some(Secret::new("hunter2".to_owned())),
            database: "app".to_owned(),
            tls: Tls::default(),
        };
        let printed = format!("{connection:?} {}", Secret::new("hunter2".to_owned()));
        assert!(!printed.contains("hunter2") && printed.contains("reader"), "{printed}");
    }
}
