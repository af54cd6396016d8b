//! What happens on a server, as it happens.

use futures::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::Client;
use crate::error::Result;

impl Client {
    /// Tells every event of these kinds (separated by commas) until `tell` has enough.
    ///
    /// # Errors
    /// When the server cannot be reached or ends the connection.
    pub fn events(&self, kinds: &str, tell: &mut dyn FnMut(&Value) -> Result<bool>) -> Result<()> {
        self.runtime.block_on(async {
            let pipe = self.wire.open().await?;
            let mut socket = self.wire.socket(pipe, &format!("/1.0/events?type={kinds}")).await?;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else { continue };
                let Ok(event) = serde_json::from_str(&text) else { continue };
                if !tell(&event)? {
                    return Ok(());
                }
            }
            Err(self.wire.cut())
        })
    }
}
