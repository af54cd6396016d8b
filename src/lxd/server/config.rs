//! What can be configured of an agent while it runs: `core.https_address`, `core.trust_password`, `core.remote_token_expiry`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::pbkdf2;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::Fault;
use crate::lxd::tls::{self, Flaw};

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

    fn locked(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to listen, where somebody said.
    pub fn address(&self) -> Option<String> {
        self.locked().https_address.clone()
    }

    /// Whether this is the password that makes a client trusted. It takes its time, so it is asked on a thread that may block.
    pub fn admits(&self, password: &str) -> bool {
        let Some((salt, hash)) = self.locked().password.clone() else { return false };
        !password.is_empty() && tls::same(&hashed(&salt, password), &hash)
    }

    /// How long a new token can be redeemed: half an hour, where nobody said.
    pub fn token_life(&self) -> Duration {
        self.locked().token_expiry.as_deref().and_then(lasting).unwrap_or(HALF_AN_HOUR)
    }

    /// As the API tells it: every value is a text.
    pub fn told(&self) -> Map<String, Value> {
        let stored = self.locked();
        let mut told: Map<String, Value> = stored.user.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        if let Some(address) = &stored.https_address {
            told.insert(ADDRESS.to_owned(), address.clone().into());
        }
        if let Some(expiry) = &stored.token_expiry {
            told.insert(TOKENS.to_owned(), expiry.clone().into());
        }
        if stored.password.is_some() {
            told.insert(PASSWORD.to_owned(), "true".into());
        }
        told
    }

    /// Configures it; `whole` where what is not said is to be as if never said.
    ///
    /// # Errors
    /// 400 for a key that there is not; when the file cannot be written.
    pub fn set(&self, config: &BTreeMap<String, String>, whole: bool) -> Result<(), Fault> {
        let mut after = self.locked().clone();
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
        let text = serde_json::to_vec_pretty(&after).map_err(|error| Fault::new(500, error.to_string()))?;
        tls::write(&self.file, &text, 0o600)?;
        *self.locked() = after;
        Ok(())
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
}
