//! Agents of hosts: `agent`, and the process of one, which it starts.

use std::io::ErrorKind;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;
use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, Place, Run, completions, target};
use crate::error::{AgentFault, Error, RemoteFault, Result, Thing};
use crate::kernel::sandbox::Manner;
use crate::lab::{self, agents, resolve};
use crate::lxd::client;
use crate::lxd::server;
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;
use crate::render::lang::{t, w, words};
use crate::render::table::Table;
use crate::render::{Printed, Show, Style, lines, shapes};

/// How long an agent of this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serve LXD's API over a host of a lab, so that lxc, incus and nslab remote can command its containers
///
/// The agent listens on the host's own lab addresses, port 8443, and on a socket that only root may open. Its key and whom it
/// trusts outlive the lab, below /var/lib/nslab/agents.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab agent start host-b\n  sudo nslab agent token host-b --name host-a     then, on host-a: lxc remote add host-b TOKEN\n  sudo nslab agent trust list host-b\n  sudo nslab agent stop host-b"
)]
pub struct Agent {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct On {
    /// The host.
    #[arg(help = "The host: [LAB/]HOST; may be left out where only one comes into question", add = ArgValueCompleter::new(completions::nodes))]
    host: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Start the agent of a host
    Start(On),
    /// End it; containers and their processes go on
    Stop(On),
    /// Show which hosts have an agent, and where it listens
    Status,
    /// Print a token that makes its bearer trusted, once, within half an hour
    Token {
        #[command(flatten)]
        on: On,
        /// What the client is called
        #[arg(long)]
        name: String,
    },
    /// Show whom an agent trusts, and trust somebody no more
    Trust {
        #[command(subcommand)]
        verb: TrustVerb,
    },
    /// Remove the keys and the trust stores of a lab's agents; remotes of it are to be added anew
    Forget {
        /// The lab
        lab: String,
    },
}

#[derive(Debug, clap::Subcommand)]
enum TrustVerb {
    /// Show whom an agent trusts
    List(On),
    /// Trust a client no more; what it has under way ends
    Remove {
        /// The host
        #[arg(help = "The host: [LAB/]HOST", add = ArgValueCompleter::new(completions::nodes))]
        host: String,
        /// The first digits of its certificate's fingerprint
        fingerprint: String,
    },
}

/// What was done to an agent.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Outcome {
    /// `addresses` are where it listens on the network; none means on its socket alone.
    Started {
        host: String,
        addresses: Vec<String>,
        socket: String,
    },
    /// It ran already.
    Running {
        host: String,
        addresses: Vec<String>,
        socket: String,
    },
    Stopped {
        host: String,
    },
    /// It did not run.
    NotRunning {
        host: String,
    },
    /// Trusts the client of this fingerprint no more.
    Removed {
        host: String,
        fingerprint: String,
    },
    /// A lab's keys and trust stores are gone.
    Forgotten {
        lab: String,
    },
}

impl Show for Outcome {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        let sentence = match self {
            Self::Started { host, addresses, socket } if addresses.is_empty() => {
                t!(lang, "The agent of {host} listens on {socket} alone: the host has no address in the lab.", host, socket)
            }
            Self::Started { host, addresses, .. } => {
                t!(lang, "The agent of {host} listens on {addresses}.", host, addresses = addresses.join(" "))
            }
            Self::Running { host, addresses, socket } if addresses.is_empty() => {
                t!(lang, "The agent of {host} runs already, on {socket} alone: the host has no address in the lab.", host, socket)
            }
            Self::Running { host, addresses, .. } => {
                t!(lang, "The agent of {host} runs already, on {addresses}.", host, addresses = addresses.join(" "))
            }
            Self::Stopped { host } => {
                t!(lang, "The agent of {host} has ended; containers and their processes go on.", host)
            }
            Self::NotRunning { host } => t!(lang, "{host} has no agent that runs.", host),
            Self::Removed { host, fingerprint } => {
                t!(lang, "The agent of {host} trusts {fingerprint} no more.", host, fingerprint)
            }
            Self::Forgotten { lab } => t!(lang, "The keys and trust stores of {lab} are gone.", lab),
        };
        lines(&[sentence])
    }

    fn is_talk(&self) -> bool {
        true
    }
}

/// A token, to be redeemed once within half an hour.
#[derive(Debug, Serialize)]
pub struct Invitation {
    /// The host whose agent made it.
    host: String,
    /// What the client will be called.
    name: String,
    token: String,
}

impl Show for Invitation {
    fn text(&self, _: Style) -> String {
        lines(std::slice::from_ref(&self.token))
    }
}

/// The agents of all hosts, by lab and host.
#[derive(Debug, Serialize)]
pub struct All {
    agents: Vec<State>,
}

/// The agent of a host, running or not.
#[derive(Debug, Serialize)]
struct State {
    lab: String,
    host: String,
    /// Whether its process is there.
    running: bool,
    /// Whether it answers, in two seconds at most.
    answers: bool,
    /// Where it listens on the network.
    addresses: Vec<String>,
}

impl Show for All {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        let mut table = Table::new(style, &words!(lang, "LAB", "NODE", "STATE", "ADDRESS"));
        for one in &self.agents {
            let state = match (one.running, one.answers) {
                (true, true) => w!(lang, ["agent"] "runs"),
                (true, false) => w!(lang, ["agent"] "does not answer"),
                (false, _) => w!(lang, ["agent"] "stopped"),
            };
            table.row([&one.lab, &one.host, state, &one.addresses.join(" ")]);
        }
        table.print(0)
    }
}

/// Those whom a host's agent trusts.
#[derive(Debug, Serialize)]
pub struct Trusted {
    host: String,
    clients: Vec<Client>,
}

/// A client that an agent trusts.
#[derive(Debug, Serialize)]
struct Client {
    name: String,
    /// SHA-256 of its certificate, in hexadecimal digits.
    fingerprint: String,
}

impl Show for Trusted {
    fn text(&self, style: Style) -> String {
        let host = &self.host;
        if self.clients.is_empty() {
            return lines(&[t!(
                style.lang,
                "The agent of {host} trusts nobody yet: nslab agent token {host} --name NAME prints a token.",
                host
            )]);
        }
        let mut table = Table::new(style, &words!(style.lang, "NAME", "FINGERPRINT"));
        for one in &self.clients {
            table.row([&one.name, &one.fingerprint]);
        }
        table.print(0)
    }
}

shapes! {
    /// What becomes of agents.
    pub enum Agents { Changed(Outcome), Token(Invitation), Listed(All), Trusted(Trusted) }
}

/// A host of a lab that is up.
struct HostAgent {
    lab: LabName,
    host: NodeName,
}

impl Run for Agent {
    type Out = Agents;
    const PLACE: Place = Place::Outside(Manner::Follows);

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        match self.verb {
            Verb::Start(on) => start(&on.agent(context)?),
            Verb::Stop(on) => {
                let agent = on.agent(context)?;
                let host = agent.host.to_string();
                let ran = agents::stop(&agent.lab, &agent.host)?;
                let outcome = if ran { Outcome::Stopped { host } } else { Outcome::NotRunning { host } };
                Ok(Agents::Changed(outcome))
            }
            Verb::Status => status(),
            Verb::Token { on, name } => token(&on.agent(context)?, &name),
            Verb::Trust { verb: TrustVerb::List(on) } => trusted(&on.agent(context)?),
            Verb::Trust { verb: TrustVerb::Remove { host, fingerprint } } => {
                let agent = On { host: Some(host) }.agent(context)?;
                agent.ask(Method::DELETE, &format!("/1.0/certificates/{fingerprint}"), None)?;
                Ok(Agents::Changed(Outcome::Removed { host: agent.host.to_string(), fingerprint }))
            }
            Verb::Forget { lab } => forget(&resolve::lab_name(&lab)?),
        }
    }
}

impl On {
    fn agent(&self, context: &mut Context) -> Result<HostAgent> {
        let Some(host) = &self.host else { return only(context) };
        let target = target::node(host, context)?;
        match target.node {
            NodeId::Host(host) => Ok(HostAgent { lab: target.lab, host }),
            _ => Err(Error::Unknown { what: Thing::Host, word: host.clone(), candidates: Vec::new() }),
        }
    }
}

/// The host that this machine plays, the only one of the lab, or the only one with an agent that runs.
fn only(context: &mut Context) -> Result<HostAgent> {
    let entry = target::current(None, context)?;
    let (lab, hosts) = (entry.lab, entry.hosts.into_iter().map(|(host, _)| host).collect::<Vec<NodeName>>());
    let running: Vec<NodeName> = hosts.iter().filter(|host| agents::runs(&lab, host)).cloned().collect();
    match (hosts.as_slice(), running.as_slice()) {
        ([host], _) | (_, [host]) => Ok(HostAgent { host: host.clone(), lab }),
        _ => {
            let candidates = hosts.iter().map(ToString::to_string).collect();
            Err(Error::Ambiguous { what: Thing::Host, word: String::new(), candidates })
        }
    }
}

impl HostAgent {
    /// A client of the host's agent, by its socket.
    fn client(&self) -> Result<client::Client> {
        if !agents::runs(&self.lab, &self.host) {
            return Err(Error::Agent(AgentFault::Stopped(self.host.to_string())));
        }
        let socket = agents::socket(&self.lab, &self.host);
        let client = client::Client::new(&client::Remote::socket(self.host.as_str(), &socket), None)?;
        Ok(client.within(PATIENCE))
    }

    /// Asks the host's agent by its socket.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let silent = |error| match error {
            Error::Remote(RemoteFault::Unreachable { errno: libc::ETIMEDOUT, .. }) => {
                Error::Agent(AgentFault::Silent(self.host.to_string()))
            }
            other => other,
        };
        self.client()?.ask(method, path, body).map(|answer| answer.metadata).map_err(silent)
    }

    fn addresses(&self) -> Result<Vec<String>> {
        let document = self.ask(Method::GET, "/1.0", None)?;
        Ok(texts(&document["environment"]["addresses"]))
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn start(agent: &HostAgent) -> Result<Agents> {
    let started = agents::start(&agent.lab, &agent.host)?;
    let (host, addresses) = (agent.host.to_string(), agent.addresses()?);
    let socket = agents::socket(&agent.lab, &agent.host).display().to_string();
    Ok(Agents::Changed(if started {
        Outcome::Started { host, addresses, socket }
    } else {
        Outcome::Running { host, addresses, socket }
    }))
}

fn status() -> Result<Agents> {
    let mut all = Vec::new();
    let mut labs = lab::names();
    labs.sort_by(|a, b| a.lab.cmp(&b.lab));
    for entry in labs {
        for (host, _) in entry.hosts {
            let agent = HostAgent { lab: entry.lab.clone(), host };
            let running = agents::runs(&agent.lab, &agent.host);
            let answer = if running { agent.addresses().ok() } else { None };
            let (answers, addresses) = (answer.is_some(), answer.unwrap_or_default());
            all.push(State { lab: agent.lab.to_string(), host: agent.host.to_string(), running, answers, addresses });
        }
    }
    if all.is_empty() { Err(target::none_up()) } else { Ok(Agents::Listed(All { agents: all })) }
}

fn token(agent: &HostAgent, name: &str) -> Result<Agents> {
    if agent.addresses()?.is_empty() {
        return Err(Error::Agent(AgentFault::Nowhere(agent.host.to_string())));
    }
    let body = json!({"name": name, "type": "client", "token": true});
    let operation = agent.ask(Method::POST, "/1.0/certificates", Some(&body))?;
    let token = client::Token::text(name, &operation["metadata"]);
    Ok(Agents::Token(Invitation { host: agent.host.to_string(), name: name.to_owned(), token }))
}

fn trusted(agent: &HostAgent) -> Result<Agents> {
    let certificates = agent.ask(Method::GET, "/1.0/certificates?recursion=1", None)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let client = |one: &Value| Client { name: text(&one["name"]), fingerprint: text(&one["fingerprint"]) };
    let clients = certificates.as_array().into_iter().flatten().map(client).collect();
    Ok(Agents::Trusted(Trusted { host: agent.host.to_string(), clients }))
}

fn forget(lab: &LabName) -> Result<Agents> {
    agents::end(lab)?;
    let store = agents::stores(lab);
    match std::fs::remove_dir_all(&store) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::Agent(AgentFault::NothingKept(lab.to_string())));
        }
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            return Err(Error::Remote(RemoteFault::Store { file: store, errno }));
        }
    }
    agents::drop_empty(&store);
    Ok(Agents::Changed(Outcome::Forgotten { lab: lab.to_string() }))
}

/// Serve LXD's API over one host of a lab; started by agent start
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct ServeAgent {
    /// The lab
    lab: String,
    /// The host
    host: String,
}

impl Run for ServeAgent {
    type Out = Printed;
    const PLACE: Place = Place::Machine;

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let host = self.host.parse::<NodeName>();
        let host = host.map_err(|fault| Error::BadName { what: Thing::Host, word: self.host.clone(), fault })?;
        server::stand(&resolve::lab_name(&self.lab)?, &host)?;
        Ok(Printed::exit(0))
    }
}
