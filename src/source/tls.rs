//! What TLS of both databases shares: the files of its settings, and what a person may do when it fails.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, Error};

use super::SourceError;
use crate::model::Tls;

/// The contents of the files that the settings name.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Certificates of CAs.
    pub(super) ca: Option<Vec<u8>>,
    /// The client's certificate and its key.
    pub(super) client: Option<Client>,
}

/// How a client proves who it is.
pub(super) struct Client {
    /// Its certificate.
    pub(super) cert: Vec<u8>,
    /// The key of it.
    pub(super) key: Vec<u8>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client(***)")
    }
}

impl Files {
    /// Reads them, here and not in the driver: that takes a file without certificates for none, and does not say which
    /// file it could not read.
    pub(super) async fn read(tls: &Tls) -> Result<Self, SourceError> {
        let mut files = Self::default();
        if let Some(path) = &tls.ca {
            files.ca = Some(certificates("ca", path).await?);
        }
        if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
            files.client = Some(Client { cert: certificates("cert", cert).await?, key: private_key(key).await? });
        }
        Ok(files)
    }
}

fn file(key: &'static str, path: &Path, problem: String) -> SourceError {
    SourceError::TlsFile { key, path: PathBuf::from(path), problem }
}

async fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, SourceError> {
    tokio::fs::read(path).await.map_err(|cause| file(key, path, format!("cannot be read: {cause}")))
}

async fn certificates(key: &'static str, path: &Path) -> Result<Vec<u8>, SourceError> {
    let pem = read(key, path).await?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|cause| file(key, path, format!("is not PEM: {cause}")))?;
        found += 1;
    }
    if found == 0 { Err(file(key, path, "holds no certificate in PEM form".to_owned())) } else { Ok(pem) }
}

async fn private_key(path: &Path) -> Result<Vec<u8>, SourceError> {
    const KEY: &str = "key";
    let pem = read(KEY, path).await?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_key) => Ok(pem),
        // the cause is not told: it can hold a part of what was read
        Err(_unreadable) => {
            Err(file(KEY, path, "holds no private key in PEM form; one with a passphrase cannot be used".to_owned()))
        }
    }
}

/// What rustls says, which the driver wraps as an I/O error or as one of TLS.
fn said(cause: &sqlx::Error) -> Option<&Error> {
    if let sqlx::Error::Io(io) = cause {
        return io.get_ref()?.downcast_ref();
    }
    if let sqlx::Error::Tls(inner) = cause {
        return inner.downcast_ref();
    }
    None
}

/// Whether a connection failed for its TLS.
pub(super) fn is_tls(cause: &sqlx::Error) -> bool {
    matches!(cause, sqlx::Error::Tls(_)) || said(cause).is_some()
}

/// A failed handshake.
pub(super) fn failed(address: String, cause: sqlx::Error) -> SourceError {
    SourceError::Tls { address, hint: hint(said(&cause)), cause }
}

fn hint(said: Option<&Error>) -> &'static str {
    const CHECK: &str = "check the source's `tls` settings";
    match said {
        // the driver's own, whose one reason is that the server said no
        None => "give the server TLS, or where nobody can listen say `tls.mode: disable`",
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the server's certificate is not from a CA that is trusted: give the server's CA as `tls.ca`"
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            "the server's certificate is for another name than the url's host: use a name that it is for, or \
             `tls.mode: verify-ca`, which does not look at names"
        }
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "the server's certificate has expired: give the server a new one"
        }
        Some(Error::InvalidCertificate(_)) => "the server's certificate is not valid: give the server another one",
        Some(Error::InconsistentKeys(_)) => "`tls.key` is not the key of `tls.cert`",
        Some(Error::AlertReceived(_)) => "the server refuses it: check `tls.cert` and `tls.key`, or give them",
        Some(_) => CHECK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustls_says_is_found_in_either_wrapping() {
        let error = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let io = sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error()));
        for cause in [io, sqlx::Error::Tls(Box::new(error()))] {
            assert!(is_tls(&cause));
            let told = failed("db:5432".to_owned(), cause).to_string();
            assert!(told.contains("`tls.ca`") && told.contains("db:5432"), "{told}");
        }
        let broken = sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(!is_tls(&broken));
        let none = failed("db:5432".to_owned(), sqlx::Error::Tls("server does not support TLS".into())).to_string();
        assert!(none.contains("`tls.mode: disable`"), "{none}");
    }
}
