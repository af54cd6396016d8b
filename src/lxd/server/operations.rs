//! Operations: work that outlives its request, and can be asked for until a while after its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::answer::Fault;
use super::clock;
use super::events::Bus;
use super::secret;

/// How long one that has ended can be asked for.
const KEPT: Duration = Duration::from_secs(60);

/// Takes the connection of a websocket that has been let in.
pub type Take = Box<dyn FnOnce(hyper::upgrade::Upgraded) + Send>;

/// Lets the websockets of an operation in.
pub trait Entrance: Send + Sync {
    /// What takes the websocket that a secret of a client is for; the secret is used up.
    fn enter(&self, secret: &str, client: &str) -> Option<Take>;
}

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
    pub entrance: Option<Arc<dyn Entrance>>,
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

    /// Adds to what is told of it.
    pub fn note(&self, more: Map<String, Value>) {
        {
            let mut state = locked(&self.state);
            state.metadata.extend(more);
            state.updated = clock::now();
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
            state.updated = clock::now();
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
    pub fn enter(&self, secret: &str, client: &str) -> Option<Take> {
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
            updated: clock::now(),
            ended: None,
        };
        let operation = Arc::new(Operation {
            id: secret::uuid()?,
            new,
            created: clock::now(),
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
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok(())) => ours.end(Status::Success, ""),
                Ok(Err(fault)) => ours.end(Status::Failure, fault.text),
                Err(_) => ours.end(Status::Failure, "The work ended without an answer"),
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
