//! What happens, told to everybody who listens: `/1.0/events`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::broadcast;

/// Events that one slow listener may be behind before it misses some.
const BACKLOG: usize = 4096;

/// One thing that happened.
#[derive(Debug)]
pub struct Event {
    /// `operation` or `lifecycle`.
    pub kind: &'static str,
    /// As the API tells it.
    pub text: String,
}

/// Where events are told.
#[derive(Debug, Clone)]
pub struct Bus(broadcast::Sender<Arc<Event>>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Bus {
    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }

    /// Tells the state of an operation.
    pub fn operation(&self, told: &Value) {
        self.tell("operation", told);
    }

    /// Tells that something was done to an instance or a network: `instance-started`, its path.
    pub fn lifecycle(&self, action: &str, source: &str) {
        self.tell("lifecycle", &json!({"action": action, "source": source, "context": {}}));
    }

    fn tell(&self, kind: &'static str, metadata: &Value) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let text = json!({"type": kind, "timestamp": super::clock::now(), "metadata": metadata, "location": "none",
            "project": "default"});
        let _ = self.0.send(Arc::new(Event { kind, text: text.to_string() }));
    }
}
