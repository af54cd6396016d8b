//! The agent's own key and certificate, and how it speaks TLS.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName as Authority, Error as TlsError, ServerConfig, SignatureScheme, version,
};

use crate::error::{Error, KernelError, Result};
use crate::kernel::sys::process;

/// A server's key and certificate.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// The certificate, as text.
    pub pem: String,
    /// SHA-256 of its DER form, in hexadecimal digits.
    pub fingerprint: String,
}

/// SHA-256 of a certificate's DER form, in hexadecimal digits.
pub fn fingerprint(der: &[u8]) -> String {
    super::secret::hex(::ring::digest::digest(&::ring::digest::SHA256, der).as_ref())
}

/// A failed step on a file.
pub fn failed(tried: &str, path: &Path, error: &std::io::Error) -> Error {
    let tried = format!("{tried} {}", path.display());
    Error::Kernel(KernelError { node: None, tried, errno: process::errno(error) as i32, said: None })
}

/// Makes a directory that only its owner looks into.
///
/// # Errors
/// When it cannot be made.
pub fn directory(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| failed("mkdir", path, &error))
}

/// Writes a file of secrets in one step: who reads sees the old or the new one.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let told = |error: std::io::Error| failed("write", path, &error);
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(told)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(told)?;
    fs::rename(&new, path).map_err(told)
}

impl Identity {
    /// Reads `server.crt` and `server.key` of a directory; makes both where one is missing (P-256, for 10 years).
    ///
    /// # Errors
    /// When they are damaged or cannot be read or written.
    pub fn of(directory: &Path, host: &str) -> Result<Self> {
        let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
        if !certificate.exists() || !key.exists() {
            make(&certificate, &key, host)?;
        }
        let read = |path: &Path| fs::read(path).map_err(|error| failed("read", path, &error));
        let damaged = |path: &Path| Error::Tampered(path.to_owned());
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
    pub fn tls(&self) -> Result<Arc<ServerConfig>> {
        let failed = |error: TlsError| Error::Internal(error.to_string());
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let anybody = Anybody(provider.signature_verification_algorithms);
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(failed)?
            .with_client_cert_verifier(Arc::new(anybody))
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(failed)?;
        Ok(Arc::new(config))
    }
}

fn make(certificate: &Path, key: &Path, host: &str) -> Result<()> {
    let failed = |error: rcgen::Error| Error::Internal(error.to_string());
    // A client takes the first DNS name for the server's, whatever its address.
    let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "nslab");
    params.distinguished_name.push(DnType::CommonName, format!("root@{host}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let year = time::OffsetDateTime::now_utc().year();
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 10, 1, 1);
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    write(key, pair.serialize_pem().as_bytes())?;
    write(certificate, signed.pem().as_bytes())
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
    ) -> std::result::Result<ClientCertVerified, TlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
