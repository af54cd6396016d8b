//! The remotes that are known, kept as the stock client keeps them, so that either reads what the other wrote.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::Identity;
use super::identity::write;
use super::wire::Place;
use crate::error::{Error, RemoteFault, Result, Thing};

/// A server that is known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// `https://HOST:PORT`, or `unix://PATH`.
    pub address: String,
    /// SHA-256 of its certificate; none of a socket.
    pub fingerprint: Option<String>,
}

impl Remote {
    /// The server behind a socket of this machine.
    pub fn socket(name: &str, path: &Path) -> Self {
        Self { name: name.to_owned(), address: format!("unix://{}", path.display()), fingerprint: None }
    }

    /// The address that it is at, where that is a number.
    pub fn host(&self) -> Option<IpAddr> {
        let Place::Net(address) = self.place() else { return None };
        address.rsplit_once(':')?.0.trim_matches(['[', ']']).parse().ok()
    }

    pub(super) fn place(&self) -> Place {
        match self.address.strip_prefix("unix://") {
            Some(path) => Place::Unix(PathBuf::from(path)),
            None => Place::Net(bare(&self.address)),
        }
    }
}

/// `HOST:PORT` of an address as people type it.
pub(super) fn bare(address: &str) -> String {
    let bare = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
    let colon = bare.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
    });
    if colon {
        bare.to_owned()
    } else if bare.contains(':') && !bare.starts_with('[') {
        format!("[{bare}]:{}", super::PORT)
    } else {
        format!("{bare}:{}", super::PORT)
    }
}

pub(super) fn fault(file: &Path, error: &std::io::Error) -> Error {
    Error::Remote(RemoteFault::Store { file: file.to_owned(), errno: error.raw_os_error().unwrap_or(libc::EIO) })
}

/// A directory with `config.yml`, `servercerts/NAME.crt`, `client.crt` and `client.key`.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    config: Map<String, Value>,
}

impl Store {
    /// Where this user's remotes are: `NSLAB_REMOTES`, else `LXD_CONF`, which the shell of a lab's host has, else
    /// `~/.config/nslab`.
    pub fn usual() -> PathBuf {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("NSLAB_REMOTES").or_else(|| set("LXD_CONF")).unwrap_or_else(|| {
            let root = nix::unistd::geteuid().is_root().then(|| PathBuf::from("/root"));
            let home = root.or_else(|| set("HOME")).unwrap_or_else(|| PathBuf::from("/"));
            home.join(".config/nslab")
        })
    }

    /// Reads a directory; one that is not there knows no remote.
    ///
    /// # Errors
    /// When its `config.yml` cannot be read.
    pub fn open(dir: PathBuf) -> Result<Self> {
        let file = dir.join("config.yml");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(fault(&file, &error)),
        };
        let config = if text.trim().is_empty() {
            Map::new()
        } else {
            serde_saphyr::from_str(&text).map_err(|_| Error::Remote(RemoteFault::Damaged(file)))?
        };
        Ok(Self { dir, config })
    }

    /// Who this client is.
    ///
    /// # Errors
    /// When its files are damaged or cannot be made.
    pub fn identity(&self) -> Result<Identity> {
        Identity::of(&self.dir)
    }

    /// The remotes that can be commanded, by name.
    pub fn remotes(&self) -> Vec<Remote> {
        let all = self.config.get("remotes").and_then(Value::as_object).into_iter().flatten();
        let mut remotes: Vec<Remote> = all
            .filter(|(_, value)| value["protocol"] != "simplestreams" && value["public"] != true)
            .filter_map(|(name, value)| {
                let address = value["addr"].as_str()?.to_owned();
                let net = address.starts_with("https://");
                let fingerprint = if net { Some(super::fingerprint(&self.certificate(name)?)) } else { None };
                (net || address.starts_with("unix:///")).then(|| Remote { name: name.clone(), address, fingerprint })
            })
            .collect();
        remotes.sort_by(|a, b| a.name.cmp(&b.name));
        remotes
    }

    /// The remote of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, name: &str) -> Result<Remote> {
        let all = self.remotes();
        let names = || all.iter().map(|remote| remote.name.clone()).collect();
        let found = all.iter().find(|remote| remote.name == name).cloned();
        found.ok_or_else(|| Error::Unknown { what: Thing::Remote, word: name.to_owned(), candidates: names() })
    }

    /// The remote that is meant where none is named.
    pub fn default_remote(&self) -> String {
        self.config.get("default-remote").and_then(Value::as_str).unwrap_or("local").to_owned()
    }

    /// Chooses the remote that is meant where none is named.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn choose(&mut self, name: &str) -> Result<()> {
        self.config.insert("default-remote".to_owned(), name.into());
        self.save()
    }

    /// Keeps a remote and its certificate.
    ///
    /// # Errors
    /// When there is one of that name, or it cannot be written.
    pub fn add(&mut self, name: &str, address: &str, certificate: &[u8]) -> Result<()> {
        let pem = pem(certificate);
        write(&self.file(name), pem.as_bytes(), 0o644)?;
        let entry = json!({"addr": format!("https://{}", bare(address)), "auth_type": "tls", "project": "default", "protocol": "lxd", "public": false});
        let remotes = self.config.entry("remotes").or_insert_with(|| json!({}));
        if let Some(remotes) = remotes.as_object_mut() {
            remotes.insert(name.to_owned(), entry);
        }
        self.config.entry("default-remote").or_insert_with(|| "local".into());
        self.save()
    }

    /// Forgets a remote.
    ///
    /// # Errors
    /// When there is none of that name, or the files cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.find(name)?;
        if let Some(remotes) = self.config.get_mut("remotes").and_then(Value::as_object_mut) {
            remotes.remove(name);
        }
        let _ = std::fs::remove_file(self.file(name));
        self.save()
    }

    fn save(&self) -> Result<()> {
        // JSON is YAML.
        let text = serde_json::to_string_pretty(&self.config).map_err(|error| Error::Internal(error.to_string()))?;
        write(&self.dir.join("config.yml"), (text + "\n").as_bytes(), 0o600)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("servercerts").join(format!("{name}.crt"))
    }

    fn certificate(&self, name: &str) -> Option<Vec<u8>> {
        let text = std::fs::read(self.file(name)).ok()?;
        CertificateDer::from_pem_slice(&text).ok().map(|der| der.to_vec())
    }
}

/// A certificate as text (RFC 7468).
fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn an_address_gets_the_usual_port() {
        assert_eq!(bare("192.0.2.2"), "192.0.2.2:8443");
        assert_eq!(bare("https://192.0.2.2:9000/"), "192.0.2.2:9000");
        assert_eq!(bare("fd00::2"), "[fd00::2]:8443");
        assert_eq!(bare("[fd00::2]:9000"), "[fd00::2]:9000");
        assert_eq!(bare("host-b"), "host-b:8443");
    }
}
