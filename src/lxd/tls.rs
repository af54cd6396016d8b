//! Keys, certificates and secrets of both sides. TLS 1.3 alone: a client pins its server's certificate, a server takes any and
//! leaves to its trust store whose it is.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName as Authority, Error as TlsError, ServerConfig, SignatureScheme,
    version,
};

use crate::error::Error;
use crate::kernel::sys::process;

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 in hexadecimal digits: of a certificate's DER form what people compare.
pub fn fingerprint(der: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, der).as_ref())
}

/// Random bytes.
///
/// # Errors
/// Where the system has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bits = [0_u8; N];
    SystemRandom::new().fill(&mut bits).map_err(|_| std::io::Error::other("No random numbers"))?;
    Ok(bits)
}

/// A random UUID (RFC 9562, version 4).
///
/// # Errors
/// Where the system has no random numbers.
pub fn uuid() -> std::io::Result<String> {
    let mut bits = random::<16>()?;
    bits[6] = (bits[6] & 0x0f) | 0x40;
    bits[8] = (bits[8] & 0x3f) | 0x80;
    let text = hex(&bits);
    Ok([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}

/// Whether two secrets are the same; how long it takes does not tell where they differ.
pub fn same(one: &str, other: &str) -> bool {
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let (one, other) = (digest(one), digest(other));
    one.as_ref().iter().zip(other.as_ref()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// A certificate as text (RFC 7468).
pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// What is wrong with a file of keys, certificates or secrets.
#[derive(Debug)]
pub enum Flaw {
    /// What is in it makes no sense.
    Damaged(PathBuf),
    /// It cannot be read, written or made: what was tried.
    File(&'static str, PathBuf, std::io::Error),
    /// What it is for refuses it.
    Tls(String),
}

impl Flaw {
    /// As a failed step of a server.
    pub fn error(self) -> Error {
        match self {
            Self::Damaged(path) => Error::Tampered(path),
            Self::File(tried, path, error) => Error::kernel(None, format!("{tried} {}", path.display()), process::errno(&error)),
            Self::Tls(text) => Error::Internal(text),
        }
    }
}

fn failed<'a>(tried: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> Flaw + 'a {
    move |error| Flaw::File(tried, path.to_owned(), error)
}

/// Reads a file of secrets; none where it is not there.
///
/// # Errors
/// When it is damaged or cannot be read.
pub fn read<T: serde::de::DeserializeOwned + Default>(path: &Path) -> Result<T, Flaw> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| Flaw::Damaged(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a file in one step, and its directory where there is none: who reads sees the old or the new one.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Flaw> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).create(directory).map_err(failed("write", path))?;
    }
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new);
    let mut file = opened.map_err(failed("write", path))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&new, path)).map_err(failed("write", path))
}

/// Whose key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side<'a> {
    /// A server's, on the host of that name.
    Server(&'a str),
    /// A client's.
    Client,
}

/// A key and its certificate.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// The certificate, as text.
    pub pem: String,
    /// SHA-256 of its DER form, in hexadecimal digits.
    pub fingerprint: String,
}

impl Identity {
    /// Reads `server.crt` and `server.key`, or `client.crt` and `client.key`, of a directory; makes both where they are not there
    /// (P-256, for 10 years).
    ///
    /// # Errors
    /// When they are damaged or cannot be read or written.
    pub fn load_or_create(directory: &Path, side: Side) -> Result<Self, Flaw> {
        let name = if side == Side::Client { "client" } else { "server" };
        let (certificate, key) = (directory.join(name).with_extension("crt"), directory.join(name).with_extension("key"));
        let make = match side {
            Side::Server(_) => !certificate.exists() || !key.exists(),
            // One of the two may be a user's own.
            Side::Client => !certificate.exists() && !key.exists(),
        };
        if make {
            side.make(&certificate, &key)?;
        }
        let read = |path: &Path| fs::read(path).map_err(failed("read", path));
        let damaged = |path: &Path| Flaw::Damaged(path.to_owned());
        let (text, secret) = (read(&certificate)?, read(&key)?);
        let der = CertificateDer::from_pem_slice(&text).map_err(|_| damaged(&certificate))?;
        Ok(Self {
            fingerprint: fingerprint(&der),
            pem: String::from_utf8(text).map_err(|_| damaged(&certificate))?,
            key: PrivateKeyDer::from_pem_slice(&secret).map_err(|_| damaged(&key))?,
            certificate: der,
        })
    }

    /// TLS 1.3 with this certificate; a client shows any certificate or none, and proves that it has its key.
    ///
    /// # Errors
    /// When key and certificate do not match.
    pub fn serve(&self) -> Result<Arc<ServerConfig>, Flaw> {
        let tls = |error: TlsError| Flaw::Tls(error.to_string());
        let provider: Arc<CryptoProvider> = Arc::new(crypto::ring::default_provider());
        let anybody = Anybody(provider.signature_verification_algorithms);
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(Arc::new(anybody))
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(tls)?;
        Ok(Arc::new(config))
    }
}

impl Side<'_> {
    fn make(self, certificate: &Path, key: &Path) -> Result<(), Flaw> {
        let tls = |error: rcgen::Error| Flaw::Tls(error.to_string());
        let own = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (names, name, usage, mode) = match self {
            // A client takes the first DNS name for the server's, whatever its address.
            Self::Server(host) => (vec![host.to_owned()], format!("root@{host}"), ExtendedKeyUsagePurpose::ServerAuth, 0o600),
            Self::Client => (Vec::new(), format!("nslab@{}", own()), ExtendedKeyUsagePurpose::ClientAuth, 0o644),
        };
        let mut params = CertificateParams::new(names).map_err(tls)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "nslab");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        let year = time::OffsetDateTime::now_utc().year();
        params.not_before = date_time_ymd(year - 1, 1, 1);
        params.not_after = date_time_ymd(year + 10, 1, 1);
        let pair = KeyPair::generate().map_err(tls)?;
        let signed = params.self_signed(&pair).map_err(tls)?;
        write(key, pair.serialize_pem().as_bytes(), 0o600)?;
        write(certificate, signed.pem().as_bytes(), mode)
    }
}

fn too_old() -> Result<HandshakeSignatureValid, TlsError> {
    Err(TlsError::General("TLS 1.2".to_owned()))
}

/// Asks for a certificate and takes any; whose it is, the trust store tells for each request.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[Authority] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Takes one certificate, or any where none is known yet, and remembers what was shown: who shows another one, or cannot prove to
/// have its key, is not the server.
#[derive(Debug)]
pub struct Pinned {
    pin: Option<String>,
    seen: Mutex<Option<Vec<u8>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    /// How to speak to a server whose certificate has this fingerprint, or to one that is not known yet. Who the client is stays
    /// unsaid without an identity.
    ///
    /// # Errors
    /// When the identity's key and certificate do not match.
    pub fn config(pin: Option<String>, identity: Option<&Identity>) -> Result<(Arc<ClientConfig>, Arc<Self>), Flaw> {
        let provider: Arc<CryptoProvider> = Arc::new(crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let pinned = Arc::new(Self { pin, seen: Mutex::default(), algorithms });
        let tls = |error: TlsError| Flaw::Tls(error.to_string());
        let verified = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(tls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&pinned) as Arc<dyn ServerCertVerifier>);
        let config = match identity {
            Some(own) => verified.with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key()).map_err(tls)?,
            None => verified.with_no_client_auth(),
        };
        Ok((Arc::new(config), pinned))
    }

    /// The certificate that the server showed.
    pub fn seen(&self) -> Option<Vec<u8>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Both fingerprints, where the server showed another certificate than it should.
    pub fn changed(&self) -> Option<(String, String)> {
        let (old, new) = (self.pin.clone()?, fingerprint(&self.seen()?));
        (old != new).then_some((old, new))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf.to_vec());
        match &self.pin {
            Some(pin) if *pin != fingerprint(leaf) => Err(TlsError::General("another certificate".to_owned())),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
