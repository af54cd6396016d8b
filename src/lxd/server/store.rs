//! What an agent keeps: whom it trusts, by the fingerprints of certificates, and who guesses at secrets; how it is configured; and
//! what was recorded of instances.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::answer::{Fault, locked};
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

fn write(file: &Path, kept: &impl Serialize) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(kept).map_err(|error| Fault::new(500, error.to_string()))?;
    Ok(tls::write(file, &text, 0o600)?)
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
        write(&self.file, &after)?;
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
        write(&self.file, &after)?;
        *entries = after;
        drop(entries);
        self.changed.send_replace(());
        Ok(())
    }

    /// Every client, as the API tells it.
    pub fn to_json(&self) -> Vec<Value> {
        locked(&self.entries).iter().map(|(fingerprint, entry)| certificate_json(fingerprint, entry)).collect()
    }

    /// One client, as the API tells it.
    pub fn one(&self, fingerprint: &str) -> Option<Value> {
        locked(&self.entries).get(fingerprint).map(|entry| certificate_json(fingerprint, entry))
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

fn certificate_json(fingerprint: &str, entry: &Entry) -> Value {
    let pem = tls::pem(&STANDARD.decode(&entry.certificate).unwrap_or_default());
    json!({"name": entry.name, "type": "client", "restricted": false, "projects": [], "certificate": pem,
        "fingerprint": fingerprint})
}

/// Where to listen; unset it means the host's lab addresses, `none` nowhere.
pub const ADDRESS: &str = "core.https_address";
/// A password that makes a client trusted.
pub const PASSWORD: &str = "core.trust_password";
/// How long a token can be redeemed, as `30M` or `1d 12H`.
pub const TOKENS: &str = "core.remote_token_expiry";
/// The same where nobody said.
const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
/// Rounds of PBKDF2 with SHA-256.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Stored {
    https_address: Option<String>,
    /// Salt and hash, in hexadecimal digits.
    password: Option<(String, String)>,
    /// As somebody wrote it.
    #[serde(default)]
    token_expiry: Option<String>,
    /// Other keys, of the user's own.
    #[serde(default)]
    user: BTreeMap<String, String>,
}

/// The configuration of an agent.
#[derive(Debug)]
pub struct Config {
    file: PathBuf,
    stored: Mutex<Stored>,
}

fn hashed(salt: &str, password: &str) -> String {
    let mut hash = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt.as_bytes(), password.as_bytes(), &mut hash);
    tls::hex(&hash)
}

/// A time as LXD writes it: numbers with S, M, H, d, w, m (of 30 days) or y, added up. None where it is not one, or none at all.
fn lasting(text: &str) -> Option<Duration> {
    let one = |part: &str| {
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let seconds = match unit {
            "S" => 1,
            "M" => 60,
            "H" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            "m" => 30 * 86_400,
            "y" => 365 * 86_400,
            _ => return None,
        };
        // A sign is read as part of a number, but is none here.
        let number: u32 = number.parse().ok().filter(|_| !number.starts_with('+'))?;
        Some(u64::from(number) * seconds)
    };
    let all = text.split_whitespace().map(one).sum::<Option<u64>>()?;
    // What no calendar can hold is no time either.
    (1..=100 * 365 * 86_400).contains(&all).then(|| Duration::from_secs(all))
}

impl Config {
    /// Reads it; a missing file configures nothing.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn open(file: PathBuf) -> Result<Self, Flaw> {
        Ok(Self { stored: Mutex::new(tls::read(&file)?), file })
    }

    /// Where to listen, where somebody said.
    pub fn address(&self) -> Option<String> {
        locked(&self.stored).https_address.clone()
    }

    /// Whether this is the password that makes a client trusted. It takes its time, so it is asked on a thread that may block.
    pub fn admits(&self, password: &str) -> bool {
        let Some((salt, hash)) = locked(&self.stored).password.clone() else { return false };
        !password.is_empty() && tls::same(&hashed(&salt, password), &hash)
    }

    /// How long a new token can be redeemed: half an hour, where nobody said.
    pub fn token_life(&self) -> Duration {
        locked(&self.stored).token_expiry.as_deref().and_then(lasting).unwrap_or(HALF_AN_HOUR)
    }

    /// As the API tells it: every value is a text.
    pub fn to_json(&self) -> Map<String, Value> {
        let stored = locked(&self.stored);
        let mut values: Map<String, Value> = stored.user.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        let password = stored.password.as_ref().map(|_| "true".to_owned());
        let own = [(ADDRESS, stored.https_address.clone()), (TOKENS, stored.token_expiry.clone()), (PASSWORD, password)];
        values.extend(own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
        values
    }

    /// Configures it; `whole` where what is not said is to be as if never said.
    ///
    /// # Errors
    /// 400 for a key that there is not; when the file cannot be written.
    pub fn set(&self, config: &BTreeMap<String, String>, whole: bool) -> Result<(), Fault> {
        let mut after = locked(&self.stored).clone();
        if whole {
            // The password is told as `true`: said so again it stays.
            let password = config.contains_key(PASSWORD).then(|| after.password.take()).flatten();
            after = Stored { password, ..Stored::default() };
        }
        for (key, value) in config {
            match key.as_str() {
                ADDRESS => after.https_address = Some(value.clone()).filter(|value| !value.is_empty()),
                PASSWORD if value == "true" && after.password.is_some() => {}
                PASSWORD if value.is_empty() => after.password = None,
                PASSWORD => {
                    let salt = tls::hex(&tls::random::<16>()?);
                    after.password = Some((salt.clone(), hashed(&salt, value)));
                }
                TOKENS if value.is_empty() => after.token_expiry = None,
                TOKENS if lasting(value).is_none() => {
                    return Err(Fault::bad(format!("Invalid time {value:?} for {TOKENS}: as 30M, 12H or 1d")));
                }
                TOKENS => after.token_expiry = Some(value.clone()),
                key if key.starts_with("user.") && value.is_empty() => drop(after.user.remove(key)),
                key if key.starts_with("user.") => drop(after.user.insert(key.to_owned(), value.clone())),
                key => return Err(Fault::bad(format!("Unknown configuration key {key:?}"))),
            }
        }
        write(&self.file, &after)?;
        *locked(&self.stored) = after;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_lxd_writes_them() {
        for (text, seconds) in [("30M", 1800), ("1S", 1), ("1d 12H", 129_600), (" 1w  1m 1y ", 34_732_800)] {
            assert_eq!(lasting(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", " ", "0S", "30", "M", "-1M", "+1M", "1.5H", "1h", "1M,2H", "é", "1é", "4294967296S", "4294967295y", "never"]
        {
            assert_eq!(lasting(text), None, "{text}");
        }
    }

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
