//! Who this client is: a key and a certificate, made once.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::store::fault;
use crate::error::{Error, RemoteFault, Result};

/// A client's key and certificate.
#[derive(Debug)]
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads `client.crt` and `client.key` of a directory; makes both where neither is there (P-256, for 10 years).
    ///
    /// # Errors
    /// When they are damaged or cannot be read or written.
    pub fn of(dir: &Path) -> Result<Self> {
        let (certificate, key) = (dir.join("client.crt"), dir.join("client.key"));
        if !certificate.exists() && !key.exists() {
            make(&certificate, &key)?;
        }
        let read = |file: &Path| std::fs::read(file).map_err(|error| fault(file, &error));
        let damaged = |file: &Path| Error::Remote(RemoteFault::Damaged(file.to_owned()));
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(&read(&certificate)?).map_err(|_| damaged(&certificate))?,
            key: PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|_| damaged(&key))?,
        })
    }

    /// The certificate in DER form.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

fn make(certificate: &Path, key: &Path) -> Result<()> {
    let failed = |error: rcgen::Error| Error::Internal(error.to_string());
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "nslab");
    params.distinguished_name.push(DnType::CommonName, format!("nslab@{host}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let year = time::OffsetDateTime::now_utc().year();
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 10, 1, 1);
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    write(key, pair.serialize_pem().as_bytes(), 0o600)?;
    write(certificate, signed.pem().as_bytes(), 0o644)
}

/// Writes a file in one step: who reads sees the old or the new one.
pub(super) fn write(file: &Path, text: &[u8], mode: u32) -> Result<()> {
    let told = |error: std::io::Error| fault(file, &error);
    if let Some(dir) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).create(dir).map_err(told)?;
    }
    let new = file.with_extension(format!("new.{}", std::process::id()));
    let mut open = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new).map_err(told)?;
    open.write_all(text).map_err(told)?;
    std::fs::rename(&new, file).map_err(told)
}
