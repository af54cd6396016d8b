//! `/1.0/certificates`: who is trusted, and how somebody becomes so.

use std::collections::BTreeSet;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::lxd::server::answer::{Answer, Fault, created, sync, tagged};
use crate::lxd::server::operations::{New, Operation, Status, rfc3339};
use crate::lxd::server::request::{Call, Client};
use crate::lxd::server::trust::{Certificate, Validity};
use crate::lxd::tls::{hex, random, same};

/// Characters of a client's name.
const LONGEST: usize = 64;

/// `GET /1.0/certificates`
pub async fn list(call: Call) -> Answer {
    let told = call.agent.trust.told();
    if call.recursion() > 0 {
        return sync(told);
    }
    let path = |one: &Value| format!("/1.0/certificates/{}", one["fingerprint"].as_str().unwrap_or_default());
    sync(told.iter().map(path).collect::<Vec<_>>())
}

/// `GET /1.0/certificates/FINGERPRINT`
pub async fn get(call: Call) -> Answer {
    let found = call.agent.trust.find(call.word(0))?;
    let told = call.agent.trust.one(&found).ok_or_else(|| Fault::missing("Certificate"))?;
    tagged(&told, &told)
}

/// `DELETE /1.0/certificates/FINGERPRINT`
pub async fn remove(call: Call) -> Answer {
    let found = call.agent.trust.find(call.word(0))?;
    call.agent.trust.remove(&found)?;
    call.agent.cut(&found);
    call.agent.bus.lifecycle("certificate-deleted", &format!("/1.0/certificates/{found}"));
    sync(Value::Null)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    certificate: String,
    password: String,
    trust_token: String,
    token: bool,
}

/// `POST /1.0/certificates`: a token, a certificate, or the client's own with a token or the password.
pub async fn add(mut call: Call) -> Answer {
    let trusted = call.client.is_trusted(&call.agent);
    if let (false, Client::Far { from, certificate }) = (trusted, &call.client) {
        call.agent.trust.may_guess(*from)?;
        if certificate.is_none() {
            return Err(Fault::bad("No client certificate provided"));
        }
    }
    let wanted: Wanted = call.json().await?;
    if !matches!(wanted.kind.as_str(), "" | "client") {
        return Err(Fault::bad("Unknown certificate type"));
    }
    if wanted.name.chars().count() > LONGEST || wanted.name.chars().any(char::is_control) {
        return Err(Fault::bad("Invalid certificate name"));
    }
    if trusted && wanted.token {
        return token(&call, &wanted).await;
    }
    if trusted && !wanted.certificate.is_empty() {
        let der = STANDARD.decode(wanted.certificate.trim()).ok().and_then(|der| Certificate::read(&der));
        let certificate = der.ok_or_else(|| Fault::bad("Invalid certificate"))?;
        return accept(&call, &wanted.name, &certificate);
    }
    redeem(&call, &wanted).await
}

fn accept(call: &Call, name: &str, certificate: &Certificate) -> Answer {
    match certificate.validity() {
        Validity::Now => {}
        Validity::Expired => return Err(Fault::bad("The client's certificate has expired")),
        Validity::NotYet { seconds } => {
            let minutes = (seconds + 59) / 60;
            return Err(Fault::bad(format!(
                "The client's certificate is not valid for another {minutes} minutes: set the clocks of the two machines"
            )));
        }
    }
    let name = if name.is_empty() { certificate.fingerprint.get(..12).unwrap_or_default() } else { name };
    call.agent.trust.add(name, certificate)?;
    let path = format!("/1.0/certificates/{}", certificate.fingerprint);
    call.agent.bus.lifecycle("certificate-created", &path);
    created(&path)
}

/// A token that makes its bearer trusted, once.
async fn token(call: &Call, wanted: &Wanted) -> Answer {
    if wanted.name.is_empty() {
        return Err(Fault::bad("A token needs a name"));
    }
    let addresses = call.look(|agent| Ok(agent.addresses())).await?;
    if addresses.is_empty() {
        return Err(Fault::bad("The agent does not listen on the network: set core.https_address"));
    }
    let life = call.agent.config.token_life();
    let until = rfc3339(OffsetDateTime::now_utc() + life);
    let request = json!({"name": wanted.name, "type": "client", "restricted": false, "projects": null, "certificate": "",
        "password": "", "token": true});
    let told = json!({"addresses": addresses, "fingerprint": call.agent.identity.fingerprint,
        "secret": hex(&random::<32>()?), "request": request, "expiresAt": until});
    let metadata = if let Value::Object(told) = told { told } else { Map::new() };
    let client = call.client.name().to_owned();
    let new = New { class: "token", description: "Executing operation", metadata, client, may_cancel: true, ..New::default() };
    let operation = call.agent.operations.begin(new)?;
    let (waiting, born) = (operation.clone(), Instant::now());
    tokio::spawn(async move {
        let expired = tokio::time::sleep(life.saturating_sub(born.elapsed()));
        tokio::select! {
            () = expired => waiting.end(Status::Cancelled, "The token has expired"),
            () = waiting.over() => {}
        }
    });
    operation.answer()
}

/// Whether the time that a token was given is over, by the wall clock; its operation ends by the other one.
fn expired(operation: &Operation) -> bool {
    let until = operation.value("expiresAt").and_then(|until| until.as_str().map(str::to_owned)).unwrap_or_default();
    OffsetDateTime::parse(&until, &time::format_description::well_known::Rfc3339)
        .map_or(true, |until| until < OffsetDateTime::now_utc())
}

/// The secret in a token, as any client sends it back.
fn secret(text: &str) -> Option<String> {
    let told: Value = serde_json::from_slice(&STANDARD.decode(text.trim()).ok()?).ok()?;
    told["secret"].as_str().map(str::to_owned)
}

async fn redeem(call: &Call, wanted: &Wanted) -> Answer {
    let Client::Far { certificate: Some(certificate), from } = &call.client else {
        return Err(Fault::bad("No client certificate provided"));
    };
    let typed = if wanted.trust_token.is_empty() { &wanted.password } else { &wanted.trust_token };
    let refused = || {
        call.agent.trust.wrong(*from);
        Fault::new(403, "No matching certificate add operation found")
    };
    let Some(secret) = secret(typed) else {
        let password = wanted.password.clone();
        let admitted = call.look(move |agent| Ok(agent.config.admits(&password))).await;
        return if admitted == Ok(true) { accept(call, &wanted.name, certificate) } else { Err(refused()) };
    };
    let tokens = call.agent.operations.all().into_iter().filter(|one| one.class() == "token");
    let mut found = None;
    let mut seen = BTreeSet::new();
    for token in tokens.filter(|one| one.status() == Status::Running) {
        let own = token.value("secret").and_then(|own| own.as_str().map(str::to_owned)).unwrap_or_default();
        if same(&own, &secret) && seen.insert(own) {
            found = Some(token);
        }
    }
    let token = found.ok_or_else(refused)?;
    // Used up before anything else is looked at.
    let late = expired(&token);
    token.end(Status::Success, "");
    if late {
        return Err(refused());
    }
    let name = token.value("request").and_then(|asked| asked["name"].as_str().map(str::to_owned)).unwrap_or_default();
    accept(call, &name, certificate)
}
