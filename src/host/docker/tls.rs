//! TLS on the way to an engine: its certificate is always verified, by `ca.pem` alone, and shown is `cert.pem` where it is there.
//!
//! The files are those of Docker's own client. There is no mode that encrypts without verifying: whoever can read the way can also
//! stand on it. Keys are read, never told.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// Certificate files are small; a larger one is an accident.
const MAX_FILE: u64 = 4 << 20;

/// What verifies an engine, and what shows who asks.
#[derive(Clone)]
pub struct Tls {
    dir: PathBuf,
    name: ServerName<'static>,
    /// Whether there is a certificate to show.
    shows: bool,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Tls {
    /// Without what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({}, {:?})", self.dir.display(), self.name)
    }
}

impl Tls {
    /// Reads the certificates of a directory, to ask the engine of this name or address.
    ///
    /// # Errors
    /// When `ca.pem` is missing, only one of `cert.pem` and `key.pem` is there, or one can't be used.
    pub fn load(dir: &Path, host: &str) -> Result<Tls> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::usage(format!("`{host}` is no name that a certificate can be for")))?;
        let mut roots = RootCertStore::empty();
        let ca = dir.join("ca.pem");
        let text = read(&ca)?.ok_or_else(|| {
            Error::failure("it is not there, and by it the engine's certificate is verified")
                .at(&ca)
                .help("copy ca.pem of the engine's authority there, or name its directory: --docker-cert-path DIR")
        })?;
        for certificate in certificates(&ca, &text)? {
            roots
                .add(certificate)
                .map_err(|error| Error::failure(format!("it is no authority's certificate: {error}")).at(&ca))?;
        }
        let versions =
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| Error::failure(format!("TLS: {error}")))?.with_root_certificates(roots);
        let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let shown = match (read(&certificate)?, read(&key)?) {
            (None, None) => None,
            (Some(text), Some(secret)) => Some((certificates(&certificate, &text)?, private_key(&key, &secret)?)),
            (Some(_), None) => return Err(Error::failure("it is not there, and cert.pem beside it is").at(&key)),
            (None, Some(_)) => return Err(Error::failure("it is not there, and key.pem beside it is").at(&certificate)),
        };
        let shows = shown.is_some();
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((chain, secret)) => builder.with_client_auth_cert(chain, secret).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => Error::failure("its key is not the one in key.pem").at(&certificate),
                error => Error::failure(format!("it can't be used with key.pem: {error}")).at(&certificate),
            })?,
        };
        Ok(Tls { dir: dir.to_owned(), name, shows, config: Arc::new(config) })
    }

    /// Makes a connection safe.
    ///
    /// # Errors
    /// When the engine does not prove who it is; in words.
    pub async fn secure(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(self.name.clone(), stream).await.map_err(|error| match self.explain(&error) {
            Some(why) => why,
            None => format!("TLS: {error}; {}", self.hint()),
        })
    }

    /// What an error of TLS means and what to do; `None` where TLS is not what failed.
    pub fn explain(&self, error: &(dyn std::error::Error + 'static)) -> Option<String> {
        let ca = self.dir.join("ca.pem");
        Some(match cause(error)? {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::NotValidForNameContext { presented, .. } => {
                    let names = if presented.is_empty() {
                        "none".into()
                    } else {
                        presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
                    };
                    format!("its certificate is for other names than {}: {names}", self.name.to_str())
                }
                CertificateError::NotValidForName => format!("its certificate is for other names than {}", self.name.to_str()),
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!("its certificate is signed by an authority that {} does not hold", ca.display())
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".into(),
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "its certificate is not valid yet; is the clock right?".into()
                }
                why => format!("its certificate can't be verified: {why}"),
            },
            rustls::Error::InvalidMessage(_) => "it does not speak TLS".into(),
            rustls::Error::AlertReceived(alert) if !self.shows && asks_for_certificate(*alert) => {
                format!("it asks for a client certificate, and {} is not there", self.dir.join("cert.pem").display())
            }
            rustls::Error::AlertReceived(alert) if self.shows && asks_for_certificate(*alert) => {
                format!("it refuses the certificate {}: {alert:?}", self.dir.join("cert.pem").display())
            }
            error => format!("TLS: {error}"),
        })
    }

    /// What is worth saying of a first connection that ends without a word: who wants another certificate may hang up before that
    /// is read.
    pub fn hint(&self) -> String {
        let certificate = self.dir.join("cert.pem");
        match self.shows {
            true => format!("it may refuse the certificate {}", certificate.display()),
            false => format!("it may ask for a client certificate, and {} is not there", certificate.display()),
        }
    }
}

/// A name of a certificate without the words around it: `DnsName("engine.example")`, `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

/// The error of rustls in a chain of causes.
fn cause<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| {
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error.downcast_ref().or_else(|| inside?.downcast_ref())
    })
}

/// Whether a server says by this that the client's certificate is missing or not to its liking.
fn asks_for_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
    )
}

/// A file's content; `None` where it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error: io::Error| Error::io(path, "read it", error);
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => Err(Error::failure("it is not a regular file").at(path)),
        Ok(file) if file.len() > MAX_FILE => Err(Error::failure("it is too long for a certificate").at(path)),
        Ok(_) => fs::read(path).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match read {
        Ok(found) if found.is_empty() => Err(Error::failure("it holds no certificate (-----BEGIN CERTIFICATE-----)").at(path)),
        Ok(found) => Ok(found),
        Err(_) => Err(Error::failure("it is no PEM file of certificates").at(path)),
    }
}

/// The cause is not repeated: it may show a part of the key.
fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        Error::failure("it holds no private key that can be read; PKCS#8, PKCS#1 or SEC1 is expected, without a passphrase")
            .at(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    /// Made with `openssl ecparam -name prime256v1 -genkey` and `openssl req -x509`, for tests alone.
    const CA: &str = include_str!("../../../tests/data/tls/ca.pem");
    const CERT: &str = include_str!("../../../tests/data/tls/cert.pem");
    const SEC1: &str = include_str!("../../../tests/data/tls/key-sec1.pem");
    const PKCS8: &str = include_str!("../../../tests/data/tls/key-pkcs8.pem");
    const OTHER: &str = include_str!("../../../tests/data/tls/key-other-pkcs1.pem");

    fn load(files: &[(&str, &str)]) -> Result<Tls, String> {
        let scratch = Scratch::new();
        for (name, content) in files {
            scratch.file(&format!("/{name}"), content, 0o600);
        }
        let loaded = Tls::load(scratch.path(), "h").map_err(|error| error.to_string());
        loaded.map_err(|error| error.replace(scratch.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn certificates_that_will_do() {
        assert!(!load(&[("ca.pem", CA)]).unwrap().shows);
        for key in [SEC1, PKCS8] {
            assert!(load(&[("ca.pem", CA), ("cert.pem", CERT), ("key.pem", key)]).unwrap().shows);
        }
    }

    #[test]
    fn certificates_that_will_not_do() {
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let no_key =
            "DIR/key.pem: it holds no private key that can be read; PKCS#8, PKCS#1 or SEC1 is expected, without a passphrase";
        let table: [(&[(&str, &str)], &str); 9] = [
            (
                &[],
                "DIR/ca.pem: it is not there, and by it the engine's certificate is verified\n  help: copy ca.pem of the engine's \
                 authority there, or name its directory: --docker-cert-path DIR",
            ),
            (&[("ca.pem", "x")], "DIR/ca.pem: it holds no certificate (-----BEGIN CERTIFICATE-----)"),
            (
                &[("ca.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")],
                "DIR/ca.pem: it is no PEM file of certificates",
            ),
            (&[("ca.pem", CA), ("cert.pem", CERT)], "DIR/key.pem: it is not there, and cert.pem beside it is"),
            (&[("ca.pem", CA), ("key.pem", SEC1)], "DIR/cert.pem: it is not there, and key.pem beside it is"),
            (&[("ca.pem", CA), ("cert.pem", CERT), ("key.pem", CERT)], no_key),
            (&[("ca.pem", CA), ("cert.pem", CERT), ("key.pem", encrypted)], no_key),
            (
                &[("ca.pem", CA), ("cert.pem", SEC1), ("key.pem", SEC1)],
                "DIR/cert.pem: it holds no certificate (-----BEGIN CERTIFICATE-----)",
            ),
            (&[("ca.pem", CA), ("cert.pem", CERT), ("key.pem", OTHER)], "DIR/cert.pem: its key is not the one in key.pem"),
        ];
        for (files, expected) in table {
            assert_eq!(load(files).unwrap_err(), expected);
        }
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let tls = load(&[("ca.pem", CA), ("cert.pem", CERT), ("key.pem", SEC1)]).unwrap();
        let shown = format!("{tls:?}");
        assert!(shown.starts_with("Tls(/") && shown.ends_with(", DnsName(\"h\"))"), "{shown}");
    }
}
