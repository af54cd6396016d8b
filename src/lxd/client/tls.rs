//! TLS 1.3 with a pinned certificate: who shows another one, or cannot prove to have its key, is not the server.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme, version};

use super::Identity;
use crate::error::{Error, Result};

/// SHA-256 of a certificate's DER form, in hexadecimal digits: what people compare.
pub fn fingerprint(der: &[u8]) -> String {
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, der);
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Takes one certificate, or any where none is known yet, and remembers what was shown.
#[derive(Debug)]
pub(super) struct Pinned {
    pin: Option<String>,
    seen: Mutex<Option<Vec<u8>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    /// The certificate that the server showed.
    pub(super) fn seen(&self) -> Option<Vec<u8>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Both fingerprints, where the server showed another certificate than it should.
    pub(super) fn changed(&self) -> Option<(String, String)> {
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
    ) -> std::result::Result<ServerCertVerified, TlsError> {
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
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// How to speak to a server whose certificate has this fingerprint, or to one that is not known yet. Who the client is
/// stays unsaid without an identity.
pub(super) fn config(pin: Option<String>, identity: Option<&Identity>) -> Result<(Arc<ClientConfig>, Arc<Pinned>)> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let pinned = Arc::new(Pinned { pin, seen: Mutex::default(), algorithms });
    let failed = |error: TlsError| Error::Internal(error.to_string());
    let verified = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&pinned) as Arc<dyn ServerCertVerifier>);
    let config = match identity {
        Some(identity) => {
            verified.with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key()).map_err(failed)?
        }
        None => verified.with_no_client_auth(),
    };
    Ok((Arc::new(config), pinned))
}
