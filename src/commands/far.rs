//! Nodes of other machines: `REMOTE:NODE`.

mod instances;

pub(super) use instances::Far;
use serde_json::Value;

use super::exec::{Process, Processes};
use super::run::Context;
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::{self, Client, Ends, Exec, Store};
use crate::render::Printed;
use crate::report::remote::{Instance, Instances, Outcome};

/// A word that names something of a remote: the remote, and the rest.
pub(super) fn split(word: &str) -> Option<(&str, &str)> {
    word.split_once(':')
}

/// A client of a remote.
pub(super) fn client(remote: &str) -> Result<Client> {
    let store = Store::open(Store::usual())?;
    let found = store.find(remote)?;
    Client::new(&found, Some(&store.identity()?))
}

/// The containers of a remote; of one name where it is not empty.
pub(super) fn list(remote: &str, name: &str, judged: bool) -> Result<Instances> {
    let client = client(remote)?;
    let all = if name.is_empty() { client.instances()? } else { vec![full(&client, name)?] };
    let instances = all.iter().map(Instance::of).collect();
    Ok(Instances { remote: remote.to_owned(), instances, judged })
}

fn full(client: &Client, name: &str) -> Result<Value> {
    let (mut told, _) = client.instance(name)?;
    told["state"] = client.state(name)?;
    Ok(told)
}

/// Runs a command there.
pub(super) fn exec(remote: &str, name: &str, command: Vec<std::ffi::OsString>) -> Result<Printed> {
    let command = command.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let interactive = terminals();
    run(remote, name, Exec { command, interactive, ..Exec::default() })
}

/// Opens a shell there: bash where there is one.
pub(super) fn shell(remote: &str, name: &str) -> Result<Printed> {
    let start = "cd ~ 2>/dev/null; command -v bash >/dev/null && exec bash -i; exec sh -i";
    let command = ["sh", "-c", start].map(str::to_owned).to_vec();
    run(remote, name, Exec { command, interactive: terminals(), ..Exec::default() })
}

fn terminals() -> bool {
    use std::io::IsTerminal;
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

fn run(remote: &str, name: &str, mut exec: Exec) -> Result<Printed> {
    let passed = |(name, value): (String, String)| {
        let wanted = name == "TERM" || name == "LANG" || name.starts_with("LC_");
        wanted.then_some((name, value))
    };
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    exec.environment = all.filter_map(passed).collect();
    client(remote)?.exec(name, &exec, Ends::Mine).map(Printed::exit)
}

/// The processes of a container, as its own `ps` tells them.
pub(super) fn processes(remote: &str, name: &str) -> Result<Processes> {
    let mut text = Vec::new();
    let command = ["ps", "-o", "pid,user,args"].map(str::to_owned).to_vec();
    let wide = Exec { command, silent: true, ..Exec::default() };
    let all = Exec { command: ["ps", "-e", "-o", "pid,user,args"].map(str::to_owned).to_vec(), ..wide.clone() };
    // Busybox lists all and knows no -e.
    if client(remote)?.exec(name, &all, Ends::Kept(&mut text))? != 0 {
        text.clear();
        client(remote)?.exec(name, &wide, Ends::Kept(&mut text))?;
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let processes = text.lines().skip(1).filter_map(|line| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        let (user, command) = rest.trim_start().split_once(' ')?;
        let (pid, command) = (pid.parse().ok()?, command.trim().to_owned());
        (!command.starts_with("ps ")).then(|| Process {
            lab: remote.to_owned(),
            node: name.to_owned(),
            pid,
            inside: pid,
            user: user.to_owned(),
            command,
        })
    });
    Ok(Processes { processes: processes.collect() })
}

/// Adds a remote by a token, or by an address and what makes it trust.
pub(super) fn add(name: &str, what: &str, password: Option<&str>, accept: bool, context: &mut Context) -> Result<Outcome> {
    add_to(Store::open(Store::usual())?, name, what, password, accept, context)
}

/// The same, to a directory of remotes.
pub(crate) fn add_to(
    mut store: Store,
    name: &str,
    what: &str,
    password: Option<&str>,
    accept: bool,
    context: &mut Context,
) -> Result<Outcome> {
    if store.find(name).is_ok() {
        return Err(Error::Remote(RemoteFault::Exists(name.to_owned())));
    }
    let identity = store.identity()?;
    let (address, certificate) = if let Some(token) = client::Token::read(what) {
        token.redeem(name, what, &identity)?
    } else {
        if what.len() > 255 || !what.contains(['.', ':']) && !what.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(Error::Remote(RemoteFault::NoToken(what.chars().take(24).collect())));
        }
        let fingerprint = crate::lxd::tls::fingerprint(&client::look(name, what)?);
        if !accept {
            let question =
                crate::report::notice::Question::Certificate { address: what.to_owned(), fingerprint: fingerprint.clone() };
            match context.front.ask(&question) {
                Some(true) => {}
                Some(false) => return Ok(Outcome::Declined { remote: name.to_owned() }),
                None => return Err(Error::Usage(crate::error::Usage::NeedsAnswer("--accept-certificate"))),
            }
        }
        let secret = password.map_or(client::Secret::None, client::Secret::Password);
        (what.to_owned(), client::add(name, what, &fingerprint, &identity, secret)?)
    };
    store.add(name, &address, &certificate)?;
    let address = store.find(name)?.address;
    Ok(Outcome::Added { remote: name.to_owned(), address })
}
