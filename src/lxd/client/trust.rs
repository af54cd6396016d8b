//! Becoming a client that a server trusts.

use hyper::Method;
use serde_json::{Value, json};

use super::{Client, Identity, Remote, Token};
use crate::error::{Error, RemoteFault, Result};

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
    client.wire.certificate().ok_or_else(|| client.wire.cut())
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
        client.ask(Method::POST, "/1.0/certificates", Some(&body), &[])?;
    }
    client.wire.certificate().ok_or_else(|| client.wire.cut())
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

impl Token {
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
