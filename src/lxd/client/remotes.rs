//! The remotes that are known, kept as the stock client keeps them, so that either reads what the other wrote; and how one becomes
//! known: tokens and trust.

use std::path::PathBuf;

use base64::Engine;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::{Client, Remote, bare};
use crate::error::{Error, RemoteFault, Result, Thing};
use crate::lxd::tls::{Flaw, Identity, Side, fingerprint, pem, write};

/// What is wrong with a file of a client.
fn fault(flaw: Flaw) -> Error {
    match flaw {
        Flaw::Damaged(file) => Error::Remote(RemoteFault::Damaged(file)),
        Flaw::File(_, file, error) => {
            Error::Remote(RemoteFault::Store { file, errno: error.raw_os_error().unwrap_or(libc::EIO) })
        }
        Flaw::Tls(text) => Error::Internal(text),
    }
}

/// The directory that a variable of the environment names, where it is set.
pub fn directory(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
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
        directory("NSLAB_REMOTES").or_else(|| directory("LXD_CONF")).unwrap_or_else(|| {
            let root = nix::unistd::geteuid().is_root().then(|| PathBuf::from("/root"));
            let home = root.or_else(|| directory("HOME")).unwrap_or_else(|| PathBuf::from("/"));
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
            Err(error) => return Err(fault(Flaw::File("read", file, error))),
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
        Identity::load_or_create(&self.dir, Side::Client).map_err(fault)
    }

    /// The remotes that can be commanded, by name.
    pub fn remotes(&self) -> Vec<Remote> {
        let all = self.config.get("remotes").and_then(Value::as_object).into_iter().flatten();
        let mut remotes: Vec<Remote> = all
            .filter(|(_, value)| value["protocol"] != "simplestreams" && value["public"] != true)
            .filter_map(|(name, value)| {
                let address = value["addr"].as_str()?.to_owned();
                let net = address.starts_with("https://");
                let fingerprint = if net { Some(fingerprint(&self.certificate(name)?)) } else { None };
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
        write(&self.file(name), pem(certificate).as_bytes(), 0o644).map_err(fault)?;
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
        write(&self.dir.join("config.yml"), (text + "\n").as_bytes(), 0o600).map_err(fault)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("servercerts").join(format!("{name}.crt"))
    }

    fn certificate(&self, name: &str) -> Option<Vec<u8>> {
        let text = std::fs::read(self.file(name)).ok()?;
        CertificateDer::from_pem_slice(&text).ok().map(|der| der.to_vec())
    }
}

/// A one-time invitation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Token {
    /// What the server will call this client.
    pub client_name: String,
    /// SHA-256 of the server's certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Where the server is: `HOST:PORT`, to be tried in this order.
    pub addresses: Vec<String>,
    secret: String,
}

impl Token {
    /// Reads what was typed or pasted; none where it is no token.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
        let token: Self = serde_json::from_slice(&bytes).ok()?;
        let whole = !token.addresses.is_empty() && !token.secret.is_empty() && token.fingerprint.len() == 64;
        whole.then_some(token)
    }

    /// The text of a token, of what a server tells of the operation that waits for it.
    pub fn text(name: &str, metadata: &Value) -> String {
        let token = json!({
            "client_name": name, "fingerprint": metadata["fingerprint"], "addresses": metadata["addresses"], "secret": metadata["secret"],
            "expires_at": metadata.get("expiresAt").cloned().unwrap_or_else(|| "0001-01-01T00:00:00Z".into()),
        });
        base64::engine::general_purpose::STANDARD.encode(token.to_string())
    }

    /// Redeems a token at the first of its addresses that can be reached: the address, and the server's certificate.
    ///
    /// # Errors
    /// When none can be reached, the server has another certificate than the token says, or refuses.
    pub fn redeem(&self, name: &str, text: &str, identity: &Identity) -> Result<(String, Vec<u8>)> {
        let mut first = None;
        for address in &self.addresses {
            match add(name, address, &self.fingerprint, identity, Secret::Token(text.trim())) {
                Ok(certificate) => return Ok((address.clone(), certificate)),
                Err(error @ Error::Remote(RemoteFault::Unreachable { .. })) => {
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(|| Error::Remote(RemoteFault::NoToken(text.to_owned()))))
    }
}

/// What makes a server trust a client.
#[derive(Debug, Clone, Copy)]
pub enum Secret<'a> {
    /// The whole text of a token.
    Token(&'a str),
    /// The server's trust password.
    Password(&'a str),
    /// Nothing: the server knows this client already.
    None,
}

/// The certificate of the server at an address, of which nothing is known yet; nothing is said to it.
///
/// # Errors
/// When nothing answers there, or no TLS.
pub fn look(name: &str, address: &str) -> Result<Vec<u8>> {
    let remote = Remote { name: name.to_owned(), address: address.to_owned(), fingerprint: None };
    let client = Client::new(&remote, None)?;
    client.runtime.block_on(client.wire.open())?;
    client.wire.pinned.seen().ok_or_else(|| client.wire.cut())
}

/// Makes the server at an address trust this client; its certificate. Nothing is said to a server with another one.
///
/// # Errors
/// When it cannot be reached, has another certificate, or refuses.
pub fn add(name: &str, address: &str, fingerprint: &str, identity: &Identity, secret: Secret) -> Result<Vec<u8>> {
    let remote = Remote { name: name.to_owned(), address: address.to_owned(), fingerprint: Some(fingerprint.to_owned()) };
    let client = Client::new(&remote, Some(identity))?;
    let server = client.get("/1.0")?;
    if server["auth"] != "trusted" {
        let body = request(&server, secret).ok_or_else(|| Error::Remote(RemoteFault::Untrusted(name.to_owned())))?;
        client.ask(Method::POST, "/1.0/certificates", Some(&body))?;
    }
    client.wire.pinned.seen().ok_or_else(|| client.wire.cut())
}

/// LXD before 5.21 reads a token as a password, later ones and Incus as a token.
fn request(server: &Value, secret: Secret) -> Option<Value> {
    let explicit = server["api_extensions"].as_array().is_some_and(|all| all.iter().any(|one| one == "explicit_trust_token"));
    match secret {
        Secret::Token(text) if explicit => Some(json!({"type": "client", "trust_token": text})),
        Secret::Token(text) => Some(json!({"type": "client", "password": text, "trust_token": text})),
        Secret::Password(text) => Some(json!({"type": "client", "password": text})),
        Secret::None => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Token;
    use base64::Engine;

    #[test]
    fn a_token_is_read_and_other_words_are_not() {
        let text = serde_json::json!({
            "client_name": "host-a", "fingerprint": "ab".repeat(32), "addresses": ["192.0.2.2:8443"], "secret": "s",
            "expires_at": "0001-01-01T00:00:00Z",
        });
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let token = Token::read(&format!(" {}\n", encode(&text.to_string()))).unwrap();
        assert_eq!((token.client_name.as_str(), token.addresses[0].as_str()), ("host-a", "192.0.2.2:8443"));
        assert_eq!(Token::read(&encode("{}")), None);
        assert_eq!(Token::read("192.0.2.2"), None);
    }
}
