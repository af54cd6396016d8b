//! What was recorded of instances: what their consoles showed, and what commands without a client wrote.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a console that are kept.
const SHOWN: usize = 128 << 10;
/// Recorded outputs that are kept.
const OUTPUTS: usize = 32;

/// What a command wrote to one stream.
#[derive(Debug)]
struct Output {
    instance: String,
    name: String,
    text: Vec<u8>,
}

/// The records of an agent.
#[derive(Debug, Default)]
pub struct Logs {
    consoles: Mutex<BTreeMap<String, Vec<u8>>>,
    outputs: Mutex<VecDeque<Output>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Logs {
    /// A console shows something.
    pub fn show(&self, instance: &str, part: &[u8]) {
        let mut consoles = locked(&self.consoles);
        let shown = consoles.entry(instance.to_owned()).or_default();
        shown.extend(part);
        let more = shown.len().saturating_sub(SHOWN);
        shown.drain(..more);
    }

    /// The last of what an instance's console showed.
    pub fn shown(&self, instance: &str) -> Vec<u8> {
        locked(&self.consoles).get(instance).cloned().unwrap_or_default()
    }

    /// Forgets what an instance's console showed.
    pub fn clear(&self, instance: &str) {
        locked(&self.consoles).remove(instance);
    }

    /// Keeps what a command wrote; the oldest goes.
    pub fn keep(&self, instance: &str, name: &str, text: Vec<u8>) {
        let mut outputs = locked(&self.outputs);
        if outputs.len() >= OUTPUTS {
            outputs.pop_front();
        }
        outputs.push_back(Output { instance: instance.to_owned(), name: name.to_owned(), text });
    }

    /// The names of what is kept of an instance.
    pub fn names(&self, instance: &str) -> Vec<String> {
        locked(&self.outputs).iter().filter(|output| output.instance == instance).map(|output| output.name.clone()).collect()
    }

    /// What a command wrote.
    pub fn kept(&self, instance: &str, name: &str) -> Option<Vec<u8>> {
        let outputs = locked(&self.outputs);
        outputs.iter().find(|output| output.instance == instance && output.name == name).map(|output| output.text.clone())
    }

    /// Forgets what a command wrote; tells whether there was anything.
    pub fn forget(&self, instance: &str, name: &str) -> bool {
        let mut outputs = locked(&self.outputs);
        let before = outputs.len();
        outputs.retain(|output| output.instance != instance || output.name != name);
        outputs.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_everything_is_kept() {
        let logs = Logs::default();
        logs.show("a1", &vec![b'x'; SHOWN]);
        logs.show("a1", b"end");
        let shown = logs.shown("a1");
        assert!(shown.len() == SHOWN && shown.ends_with(b"xend"));
        logs.clear("a1");
        assert_eq!(logs.shown("a1"), b"");
        for number in 0..=OUTPUTS {
            logs.keep("a1", &number.to_string(), vec![b'y']);
        }
        assert_eq!((logs.names("a1").len(), logs.kept("a1", "0")), (OUTPUTS, None));
        assert!(logs.kept("a2", "1").is_none() && logs.forget("a1", "1") && !logs.forget("a1", "1"));
    }
}
