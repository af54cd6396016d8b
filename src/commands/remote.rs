//! Other machines: the remotes that are known, and their nodes, `REMOTE:NODE`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{Context, Run};
use crate::error::{Error, InstanceFault, RemoteFault, Result, Thing, Usage};
use crate::kernel::sandbox::Process;
use crate::lxd::client::{self, Action, Change, Client, Ends, Exec, New, Store};
use crate::lxd::tls;
use crate::name::NodeName;
use crate::render::lang::{t, words};
use crate::render::table::Table;
use crate::render::{Printed, Show, Style, lines, shapes};
use crate::report::lab::Question;

/// Know other hosts by a name: nslab's agent, LXD, Incus; then REMOTE:NODE means a container there
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab remote add host-b TOKEN    the token is printed on host-b: nslab agent token, or lxc config trust add\n  nslab list host-b:\n  nslab exec host-b:b1 ip addr"
)]
pub struct Remote {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Know a host, and be trusted by it; its certificate is pinned before the secret is sent
    Add {
        /// The name to give it
        name: String,
        /// The token that it printed, or its address: HOST[:PORT]
        #[arg(value_name = "TOKEN|ADDRESS")]
        what: String,
        /// With an address: the host's trust password
        #[arg(long)]
        password: Option<String>,
        /// With an address: take the certificate that the host shows, unseen
        #[arg(long)]
        accept_certificate: bool,
    },
    /// List the hosts that are known
    List,
    /// Forget a host
    Remove {
        /// Its name
        name: String,
    },
}

/// The servers that are known, by name.
#[derive(Debug, Serialize)]
pub struct Remotes {
    remotes: Vec<Item>,
}

/// A server that is known.
#[derive(Debug, Serialize)]
struct Item {
    /// Its name.
    remote: String,
    /// Where it is.
    address: String,
    /// SHA-256 of its certificate, in hexadecimal digits; null for a socket.
    fingerprint: Option<String>,
}

impl Show for Remotes {
    fn text(&self, style: Style) -> String {
        if self.remotes.is_empty() {
            let none = t!(style.lang, "No remote is known. The other host prints a token: nslab remote add NAME TOKEN.");
            return lines(&[none]);
        }
        let mut table = Table::new(style, &words!(style.lang, "REMOTE", "ADDRESS", "FINGERPRINT"));
        for one in &self.remotes {
            let short: String = one.fingerprint.iter().flat_map(|text| text.chars().take(12)).collect();
            table.row([&one.remote, &one.address, &short]);
        }
        table.print(0)
    }
}

/// What was done to a remote.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Outcome {
    Added { remote: String, address: String },
    Declined { remote: String },
    Removed { remote: String },
}

impl Show for Outcome {
    fn text(&self, style: Style) -> String {
        lines(&[match self {
            Self::Added { remote, address } => t!(style.lang, "{remote} is a remote at {address}.", remote, address),
            Self::Declined { remote } => t!(style.lang, "{remote} was not added.", remote),
            Self::Removed { remote } => t!(style.lang, "{remote} is no remote any more.", remote),
        }])
    }

    fn is_talk(&self) -> bool {
        true
    }
}

shapes! {
    /// Hosts that are known.
    pub enum Known { Changed(Outcome), Listed(Remotes) }
}

impl Run for Remote {
    type Out = Known;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        match self.verb {
            Verb::Add { name, what, password, accept_certificate } => {
                let named = name.parse::<NodeName>().map(String::from);
                let name = named.map_err(|fault| Error::BadName { what: Thing::Remote, word: name.clone(), fault })?;
                add_to(Store::open(Store::usual())?, &name, &what, password.as_deref(), accept_certificate, context)
                    .map(Known::Changed)
            }
            Verb::List => {
                let all = Store::open(Store::usual())?.remotes().into_iter();
                let item = all.map(|one| Item { remote: one.name, address: one.address, fingerprint: one.fingerprint });
                Ok(Known::Listed(Remotes { remotes: item.collect() }))
            }
            Verb::Remove { name } => {
                Store::open(Store::usual())?.remove(&name)?;
                Ok(Known::Changed(Outcome::Removed { remote: name }))
            }
        }
    }
}

/// Adds a remote to those of a directory, by a token, or by an address and what makes it trust.
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
        let fingerprint = tls::fingerprint(&client::look(name, what)?);
        if !accept {
            let question = Question::Certificate { address: what.to_owned(), fingerprint: fingerprint.clone() };
            match context.front.ask(&question) {
                Some(true) => {}
                Some(false) => return Ok(Outcome::Declined { remote: name.to_owned() }),
                None => return Err(Error::Usage(Usage::NeedsAnswer("--accept-certificate"))),
            }
        }
        let secret = password.map_or(client::Secret::None, client::Secret::Password);
        (what.to_owned(), client::add(name, what, &fingerprint, &identity, secret)?)
    };
    store.add(name, &address, &certificate)?;
    let address = store.find(name)?.address;
    Ok(Outcome::Added { remote: name.to_owned(), address })
}

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

/// Containers of a remote, by name.
#[derive(Debug, Serialize)]
pub struct Containers {
    remote: String,
    instances: Vec<Instance>,
    /// Whether all must run.
    #[serde(skip)]
    judged: bool,
}

/// A container of a server.
#[derive(Debug, Serialize)]
struct Instance {
    name: String,
    /// `Running`, `Stopped`, `Frozen` or `Error`, as the server says.
    state: String,
    /// Its addresses, those of `lo` and link-local ones left out.
    addresses: Vec<String>,
    /// How many processes run in it.
    processes: Option<u64>,
}

impl Instance {
    /// From what a server tells.
    fn from_json(document: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let network = document["state"]["network"].as_object().into_iter().flatten().filter(|(name, _)| *name != "lo");
        let all = network.flat_map(|(_, device)| device["addresses"].as_array().into_iter().flatten());
        Self {
            name: text(&document["name"]),
            state: text(&document["status"]),
            addresses: all.filter(|one| one["scope"] == "global").map(|one| text(&one["address"])).collect(),
            processes: document["state"]["processes"].as_i64().and_then(|number| u64::try_from(number).ok()),
        }
    }
}

impl Show for Containers {
    fn text(&self, style: Style) -> String {
        if self.instances.is_empty() {
            return lines(&[t!(style.lang, "{remote} has no containers.", remote = self.remote)]);
        }
        let mut table = Table::new(style, &words!(style.lang, "NAME", "STATE", "ADDRESS"));
        for one in &self.instances {
            table.row([&one.name, &one.state, &one.addresses.join(" ")]);
        }
        table.print(0)
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.judged && self.instances.iter().any(|one| one.state != "Running"))
    }
}

/// The containers of a remote; of one name where it is not empty.
pub(super) fn list(remote: &str, name: &str, judged: bool) -> Result<Containers> {
    let client = client(remote)?;
    let all = if name.is_empty() {
        client.instances()?
    } else {
        let mut document = client.instance(name)?;
        document["state"] = client.state(name)?;
        vec![document]
    };
    let instances = all.iter().map(Instance::from_json).collect();
    Ok(Containers { remote: remote.to_owned(), instances, judged })
}

/// Runs a command there.
pub(super) fn exec(remote: &str, name: &str, command: Vec<OsString>) -> Result<Printed> {
    let wanted = |name: &str| name == "TERM" || name == "LANG" || name.starts_with("LC_");
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let exec = Exec {
        command: command.into_iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        environment: all.filter(|(name, _)| wanted(name)).collect(),
        interactive: terminals(),
        ..Exec::default()
    };
    client(remote)?.exec(name, &exec, Ends::Mine).map(|(code, _)| Printed::exit(code))
}

/// Opens a shell there: bash where there is one.
pub(super) fn shell(remote: &str, name: &str) -> Result<Printed> {
    let start = "cd ~ 2>/dev/null; command -v bash >/dev/null && exec bash -i; exec sh -i";
    exec(remote, name, ["sh", "-c", start].map(OsString::from).to_vec())
}

/// Whether somebody types, and sees what comes.
pub(crate) fn terminals() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The processes of a container, as its own `ps` tells them.
pub(super) fn processes(remote: &str, name: &str) -> Result<Vec<Process>> {
    let run = |words: &[&str]| {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        client(remote)?.exec(name, &Exec { command, ..Exec::default() }, Ends::Kept)
    };
    let text = match run(&["ps", "-e", "-o", "pid,user,args"])? {
        (0, text) => text,
        // Busybox lists all and knows no -e.
        _ => run(&["ps", "-o", "pid,user,args"])?.1,
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let processes = text.lines().skip(1).filter_map(|line| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        let (user, command) = rest.trim_start().split_once(' ')?;
        let (pid, user, command) = (pid.parse().ok()?, user.to_owned(), command.trim().to_owned());
        (!command.starts_with("ps ")).then(|| Process { node: name.to_owned(), pid, inside: pid, user, command })
    });
    Ok(processes.collect())
}

/// A container of a remote.
#[derive(Debug)]
pub(super) struct RemoteContainer {
    pub(super) remote: String,
    pub(super) name: String,
    client: Client,
}

impl RemoteContainer {
    /// The container that a word names; none where the word is of this machine.
    ///
    /// # Errors
    /// When the remote is not known.
    pub(super) fn parse(word: &str) -> Result<Option<Self>> {
        let Some((remote, name)) = split(word) else { return Ok(None) };
        Ok(Some(Self { remote: remote.to_owned(), name: name.to_owned(), client: client(remote)? }))
    }

    fn status(&self) -> Result<String> {
        Ok(self.client.instance(&self.name)?["status"].as_str().unwrap_or_default().to_owned())
    }

    fn is(&self, fault: fn(String) -> InstanceFault) -> Result<()> {
        Err(Error::Instance(fault(format!("{}:{}", self.remote, self.name))))
    }

    fn act(&self, action: Action, force: bool, timeout: i64) -> Result<()> {
        self.client.change(&self.name, Change { action, force, timeout })
    }

    /// Makes it, and starts it unless it is to stay stopped; the name that it has. Its `eth0` is on this network of the server.
    ///
    /// # Errors
    /// When there is no such image or network, the name is taken, or the server cannot be reached or refuses.
    pub(super) fn launch(&self, mut new: New<'_>, network: Option<&str>, stopped: bool) -> Result<String> {
        if let Some(network) = network {
            new.devices["eth0"] = self.client.nic(network)?;
            new.devices["eth0"]["name"] = "eth0".into();
        }
        let name = self.client.create(&New { name: &self.name, ..new })?;
        if !stopped {
            self.client.change(&name, Change { action: Action::Start, force: false, timeout: -1 })?;
        }
        Ok(name)
    }

    /// Starts it, or lets it go on.
    pub(super) fn start(&self) -> Result<()> {
        match self.status()?.as_str() {
            "Running" => self.is(InstanceFault::Running),
            "Frozen" => self.act(Action::Unfreeze, false, 0),
            _ => self.act(Action::Start, false, -1),
        }
    }

    /// Stops it: what runs in it is asked to end, and killed after the grace.
    pub(super) fn stop(&self, grace: Duration) -> Result<()> {
        self.end(Action::Stop, grace, |status| status != "Stopped")
    }

    /// Stops it and starts it.
    pub(super) fn restart(&self, grace: Duration) -> Result<()> {
        self.end(Action::Restart, grace, |status| status == "Running")
    }

    fn end(&self, action: Action, grace: Duration, goes_on: fn(&str) -> bool) -> Result<()> {
        if self.status()? == "Stopped" {
            return self.is(InstanceFault::Stopped);
        }
        let seconds = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        if seconds == 0 {
            return self.act(action, true, 0);
        }
        // LXD gives up where nslab kills.
        match self.act(action, false, seconds) {
            Err(Error::Remote(RemoteFault::Refused { .. })) if goes_on(&self.status()?) => self.act(action, true, 0),
            other => other,
        }
    }

    /// Deletes it; with force one that runs is stopped first.
    pub(super) fn delete(&self, force: bool) -> Result<()> {
        let document = self.client.instance(&self.name)?;
        if document["status"] != "Stopped" {
            if !force {
                return self.is(InstanceFault::Running);
            }
            self.act(Action::Stop, true, -1)?;
            if document["ephemeral"] == true {
                return Ok(());
            }
        }
        self.client.delete(&self.name)
    }

    /// Lets its processes stand still.
    pub(super) fn pause(&self) -> Result<()> {
        match self.status()?.as_str() {
            "Stopped" => self.is(InstanceFault::Stopped),
            "Frozen" => self.is(InstanceFault::Frozen),
            _ => self.act(Action::Freeze, false, -1),
        }
    }
}
