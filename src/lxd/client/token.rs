//! Tokens: what LXD, Incus and the agent print for a new client.

use base64::Engine;
use serde::Deserialize;

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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::Engine;

    use super::Token;

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
