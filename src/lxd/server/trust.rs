//! Whom an agent trusts: certificates by fingerprint, and those who guess at secrets.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::answer::Fault;
use crate::lxd::tls::{self, Flaw};

/// Wrong secrets that are answered for one address within [`WINDOW`].
const GUESSES: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// How far a client's clock may be ahead, in seconds: its certificate holds from the moment on in which it made it.
const SKEW: i64 = 600;
/// Addresses whose guesses are remembered.
const GUESSERS: usize = 1024;

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its DER form.
    pub der: Vec<u8>,
    /// SHA-256 of that, in hexadecimal digits.
    pub fingerprint: String,
    from: i64,
    until: i64,
}

/// Whether a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It holds.
    Now,
    /// It does not any more.
    Expired,
    /// It begins to hold in so many seconds.
    NotYet {
        /// How many.
        seconds: i64,
    },
}

impl Certificate {
    /// Reads the DER form; none where it is no X.509 certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        let validity = parsed.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        rest.is_empty().then(|| Self { der: der.to_vec(), fingerprint: tls::fingerprint(der), from, until })
    }

    /// Whether it holds now, by a clock that may be up to ten minutes behind the client's.
    pub fn validity(&self) -> Validity {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if now > self.until {
            Validity::Expired
        } else if now < self.from - SKEW {
            Validity::NotYet { seconds: self.from - now }
        } else {
            Validity::Now
        }
    }
}

/// A client that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    /// The certificate's DER form in base 64.
    certificate: String,
}

/// The trust store.
#[derive(Debug)]
pub struct Trust {
    file: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
    changed: watch::Sender<()>,
    guesses: Mutex<HashMap<IpAddr, VecDeque<Instant>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trust {
    /// Reads the store; a missing file trusts nobody.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn open(file: PathBuf) -> Result<Self, Flaw> {
        let entries = Mutex::new(tls::read(&file)?);
        Ok(Self { file, entries, changed: watch::Sender::new(()), guesses: Mutex::default() })
    }

    /// Whether a client with this certificate is trusted now.
    pub fn trusts(&self, certificate: &Certificate) -> bool {
        certificate.validity() == Validity::Now && self.knows(&certificate.fingerprint)
    }

    /// Whether a fingerprint is in the store.
    pub fn knows(&self, fingerprint: &str) -> bool {
        locked(&self.entries).contains_key(fingerprint)
    }

    /// Waits until a fingerprint is not in the store any more.
    pub async fn revoked(&self, fingerprint: &str) {
        let mut changed = self.changed.subscribe();
        while self.knows(fingerprint) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Trusts a client from now on.
    ///
    /// # Errors
    /// 409 where it is trusted already; when the store cannot be written.
    pub fn add(&self, name: &str, certificate: &Certificate) -> Result<(), Fault> {
        let mut entries = locked(&self.entries);
        if entries.contains_key(&certificate.fingerprint) {
            return Err(Fault::new(409, "Certificate already in trust store"));
        }
        let entry = Entry { name: name.to_owned(), certificate: STANDARD.encode(&certificate.der) };
        let mut after = entries.clone();
        after.insert(certificate.fingerprint.clone(), entry);
        self.write(&after)?;
        *entries = after;
        Ok(())
    }

    /// The whole fingerprint that one with these first digits has.
    ///
    /// # Errors
    /// 404 where there is none, 400 where there are several.
    pub fn find(&self, prefix: &str) -> Result<String, Fault> {
        let entries = locked(&self.entries);
        let mut found = entries.keys().filter(|fingerprint| !prefix.is_empty() && fingerprint.starts_with(prefix));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(_), Some(_)) => Err(Fault::bad("More than one certificate matches")),
            _ => Err(Fault::missing("Certificate")),
        }
    }

    /// Trusts a client no more; what it has under way ends.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove(&self, fingerprint: &str) -> Result<(), Fault> {
        let mut entries = locked(&self.entries);
        let mut after = entries.clone();
        after.remove(fingerprint);
        self.write(&after)?;
        *entries = after;
        drop(entries);
        self.changed.send_replace(());
        Ok(())
    }

    fn write(&self, entries: &BTreeMap<String, Entry>) -> Result<(), Fault> {
        let text = serde_json::to_vec_pretty(entries).map_err(|error| Fault::new(500, error.to_string()))?;
        Ok(tls::write(&self.file, &text, 0o600)?)
    }

    /// Every client, as the API tells it.
    pub fn told(&self) -> Vec<Value> {
        locked(&self.entries).iter().map(|(fingerprint, entry)| told(fingerprint, entry)).collect()
    }

    /// One client, as the API tells it.
    pub fn one(&self, fingerprint: &str) -> Option<Value> {
        locked(&self.entries).get(fingerprint).map(|entry| told(fingerprint, entry))
    }

    /// Lets somebody try a secret.
    ///
    /// # Errors
    /// 429 where the address has guessed wrong too often.
    pub fn may_guess(&self, from: IpAddr) -> Result<(), Fault> {
        let mut guesses = locked(&self.guesses);
        let Some(own) = guesses.get_mut(&from) else { return Ok(()) };
        while own.front().is_some_and(|at| at.elapsed() > WINDOW) {
            own.pop_front();
        }
        if own.len() < GUESSES { Ok(()) } else { Err(Fault::new(429, "Too many wrong secrets, wait a minute")) }
    }

    /// Remembers a wrong secret.
    pub fn wrong(&self, from: IpAddr) {
        let mut guesses = locked(&self.guesses);
        if guesses.len() >= GUESSERS {
            guesses.retain(|_, own| own.back().is_some_and(|at| at.elapsed() <= WINDOW));
        }
        if guesses.len() < GUESSERS || guesses.contains_key(&from) {
            guesses.entry(from).or_default().push_back(Instant::now());
        }
    }
}

fn told(fingerprint: &str, entry: &Entry) -> Value {
    let pem = tls::pem(&STANDARD.decode(&entry.certificate).unwrap_or_default());
    json!({"name": entry.name, "type": "client", "restricted": false, "projects": [], "certificate": pem,
        "fingerprint": fingerprint})
}
