//! Operations: work that outlives its request, and can be asked for until a while after its end; what happens, as
//! `/1.0/events` tells it; and what was recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{broadcast, watch};

use super::answer::Fault;
use super::answer::{Answer, blocking, working};
use super::streams::{Door, Place};
use crate::lxd::tls::uuid;

/// How long one that has ended can be asked for.
const KEPT: Duration = Duration::from_secs(60);

/// How an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Running,
    /// It has ended well.
    Success,
    /// It has failed.
    Failure,
    /// Somebody ended it.
    Cancelled,
}

impl Status {
    fn word(self) -> (&'static str, u16) {
        match self {
            Self::Running => ("Running", 103),
            Self::Success => ("Success", 200),
            Self::Failure => ("Failure", 400),
            Self::Cancelled => ("Cancelled", 401),
        }
    }
}

/// What an operation begins with.
#[derive(Default)]
pub struct New {
    /// `task`, `websocket` or `token`.
    pub class: &'static str,
    /// For people: `Starting instance`.
    pub description: &'static str,
    /// The paths of the instances that it works on.
    pub instances: Vec<String>,
    /// What else is told of it.
    pub metadata: Map<String, Value>,
    /// The client that began it, by the fingerprint of its certificate.
    pub client: String,
    /// Where its websockets come in.
    pub entrance: Option<Door>,
    /// What ends it before its time.
    pub cancel: Option<Box<dyn Fn() + Send + Sync>>,
    /// A client may end it.
    pub may_cancel: bool,
}

struct State {
    status: Status,
    metadata: Map<String, Value>,
    failure: String,
    updated: String,
    ended: Option<Instant>,
}

/// Work that was begun.
pub struct Operation {
    id: String,
    new: New,
    created: String,
    state: Mutex<State>,
    over: watch::Sender<bool>,
    bus: Bus,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Operation {
    /// Its path in the API.
    pub fn path(&self) -> String {
        format!("/1.0/operations/{}", self.id)
    }

    /// Its UUID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The class that it began with.
    pub fn class(&self) -> &'static str {
        self.new.class
    }

    /// The client that began it.
    pub fn client(&self) -> &str {
        &self.new.client
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        locked(&self.state).status
    }

    /// A value of its metadata.
    pub fn value(&self, key: &str) -> Option<Value> {
        locked(&self.state).metadata.get(key).cloned()
    }

    /// As the API tells it.
    pub fn told(&self) -> Value {
        let state = locked(&self.state);
        let (status, code) = state.status.word();
        let resources = if self.new.instances.is_empty() { Value::Null } else { json!({"instances": self.new.instances}) };
        let metadata = if state.metadata.is_empty() { Value::Null } else { Value::Object(state.metadata.clone()) };
        json!({"id": self.id, "class": self.new.class, "description": self.new.description, "created_at": self.created,
            "updated_at": state.updated, "status": status, "status_code": code, "resources": resources,
            "metadata": metadata, "may_cancel": self.new.may_cancel && state.ended.is_none(), "err": state.failure,
            "location": "none"})
    }

    /// As what answers the request that began it.
    pub fn answer(&self) -> Answer {
        working(&self.path(), &self.told())
    }

    /// Adds to what is told of it.
    pub fn note(&self, more: Map<String, Value>) {
        {
            let mut state = locked(&self.state);
            state.metadata.extend(more);
            state.updated = now();
        }
        self.bus.operation(&self.told());
    }

    /// Ends it, once; later ends are not heard.
    pub fn end(&self, status: Status, failure: impl Into<String>) {
        {
            let mut state = locked(&self.state);
            if state.ended.is_some() {
                return;
            }
            state.status = status;
            state.failure = failure.into();
            state.updated = now();
            state.ended = Some(Instant::now());
        }
        self.bus.operation(&self.told());
        self.over.send_replace(true);
    }

    /// Waits for its end.
    pub async fn over(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Lets a websocket in.
    pub fn enter(&self, secret: &str, client: &str) -> Option<Place> {
        self.new.entrance.as_ref()?.enter(secret, client)
    }

    /// Ends it before its time.
    ///
    /// # Errors
    /// Where a client may not.
    pub fn cancel(&self) -> Result<(), Fault> {
        if !self.new.may_cancel {
            return Err(Fault::bad("This operation can't be cancelled"));
        }
        self.cut();
        Ok(())
    }

    /// Ends what it works on, and it.
    pub fn cut(&self) {
        match &self.new.cancel {
            Some(cancel) => cancel(),
            None if self.new.may_cancel => self.end(Status::Cancelled, ""),
            None => {}
        }
    }
}

/// Every operation of an agent.
#[derive(Default)]
pub struct Operations {
    all: Mutex<BTreeMap<String, Arc<Operation>>>,
    bus: Bus,
}

impl Operations {
    /// None yet; what happens to them is told on a bus.
    pub fn new(bus: Bus) -> Self {
        Self { all: Mutex::default(), bus }
    }

    /// Begins one.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn begin(&self, new: New) -> Result<Arc<Operation>, Fault> {
        let state = State {
            status: Status::Running,
            metadata: new.metadata.clone(),
            failure: String::new(),
            updated: now(),
            ended: None,
        };
        let operation = Arc::new(Operation {
            id: uuid()?,
            new,
            created: now(),
            state: Mutex::new(state),
            over: watch::Sender::new(false),
            bus: self.bus.clone(),
        });
        let mut all = locked(&self.all);
        all.retain(|_, operation| locked(&operation.state).ended.is_none_or(|ended| ended.elapsed() < KEPT));
        all.insert(operation.id.clone(), Arc::clone(&operation));
        drop(all);
        self.bus.operation(&operation.told());
        Ok(operation)
    }

    /// Begins a task that may block; it ends as its work does.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn task<T>(&self, new: New, work: T) -> Result<Arc<Operation>, Fault>
    where
        T: FnOnce() -> Result<(), Fault> + Send + 'static,
    {
        let operation = self.begin(New { class: "task", ..new })?;
        let ours = Arc::clone(&operation);
        tokio::spawn(async move {
            match blocking(work).await {
                Ok(()) => ours.end(Status::Success, ""),
                Err(fault) => ours.end(Status::Failure, fault.text),
            }
        });
        Ok(operation)
    }

    /// The one of that UUID.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, id: &str) -> Result<Arc<Operation>, Fault> {
        locked(&self.all).get(id).cloned().ok_or_else(|| Fault::missing("Operation"))
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Operation>> {
        locked(&self.all).values().cloned().collect()
    }

    /// Forgets one.
    pub fn forget(&self, id: &str) {
        locked(&self.all).remove(id);
    }
}

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
        let text = json!({"type": kind, "timestamp": now(), "metadata": metadata, "location": "none",
            "project": "default"});
        let _ = self.0.send(Arc::new(Event { kind, text: text.to_string() }));
    }
}

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

/// Never, or not known: the time that clients written in Go take for none.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, by RFC 3339.
pub fn now() -> String {
    rfc3339(OffsetDateTime::now_utc())
}

/// Seconds since 1970, by RFC 3339.
pub fn seconds(since: u64) -> String {
    let since = i64::try_from(since).ok().and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
    since.map_or_else(|| NEVER.to_owned(), rfc3339)
}

/// A time, by RFC 3339.
pub fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| NEVER.to_owned())
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
