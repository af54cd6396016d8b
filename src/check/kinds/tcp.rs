//! `tcp`: a node takes connections of another one on a port, or takes none.

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::check::evidence::{Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Suspect, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Machine, node};
use crate::check::scene::Scene;
use crate::kernel::calls::{Call, Caller};
use crate::plan::NodeId;
use crate::render::lang::t;
use crate::render::sentences::statement::{Say, Words};
use crate::report::probe::Transport;
use crate::topology::reader::Item;
use crate::topology::values::{flag, whole};

/// Milliseconds that a connection may take: the kernel asks again after a second.
const PATIENCE: u16 = 1500;

/// Who calls whom on which port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// Who calls.
    pub from: Machine,
    /// Who is called.
    pub to: Machine,
    /// The port.
    pub port: u16,
    /// Whether it must be taken there.
    pub open: bool,
}

/// A port of TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tcp(Door);

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Found {
    /// It was taken.
    Open { from: String, to: String, transport: Transport },
    /// It was not, and whether the caller was told so.
    Closed { from: String, to: String, transport: Transport, refused: bool },
    /// Nobody sees whether it was.
    Unsure { from: String, to: String, transport: Transport },
}

impl Found {
    fn call(&self) -> (&str, &str, Transport) {
        match self {
            Self::Open { from, to, transport }
            | Self::Closed { from, to, transport, .. }
            | Self::Unsure { from, to, transport } => (from, to, *transport),
        }
    }
}

impl Seen for Found {
    fn is_obstacle(&self) -> bool {
        matches!(self, Self::Unsure { .. })
    }
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let (lang, (from, to, transport)) = (words.lang, self.call());
        let call = words.ping(&(from.to_owned(), to.to_owned()));
        let (protocol, port) = (transport.name(), transport.port().unwrap_or(0));
        match self {
            Self::Open { .. } => t!(lang, "{call}, {protocol} port {port}: open.", call, protocol, port),
            Self::Closed { refused: true, .. } => t!(lang, "{call}, {protocol} port {port}: refused.", call, protocol, port),
            Self::Closed { refused: false, .. } => t!(lang, "{call}, {protocol} port {port}: no answer.", call, protocol, port),
            Self::Unsure { .. } => t!(
                lang,
                "{call}, {protocol} port {port}: no answer, and it is not known whether it was taken.",
                call,
                protocol,
                port
            ),
        }
    }
}

impl Door {
    pub(super) fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let from = keys.required("from", "Who calls.", node);
            let to = keys.required("to", "Who is called.", node);
            let port = keys.required("port", "The port.", whole("port", 1..=65535));
            let open = keys.optional("open", "Whether it must be taken there; true unless given.", flag);
            Some(Self { from: from?, to: to?, port: port?, open: open.unwrap_or(true) })
        })
    }

    pub(super) fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        Ok(Self { from: players.machine(&self.from)?, to: players.machine(&self.to)?, ..self.clone() })
    }

    /// Both ends, where they are there, and the address that is called.
    pub(super) fn suspect(&self, stage: &Stage<'_>, transport: Transport) -> Result<Suspect, Evidence> {
        let (scene, from, to) = (stage.scene, &self.from.0, &self.to.0);
        scene.place(from)?;
        scene.place(to)?;
        let address = scene.address(from, to).ok_or_else(|| scene.unmet(from, to))?;
        Ok(Suspect { from: from.clone(), to: address, transport })
    }

    /// What is wrong, where it was taken, or refused, or neither.
    pub(super) fn verdict(&self, suspect: Suspect, open: bool, refused: bool) -> Verdict {
        let (from, to, transport) = (self.from.to_string(), self.to.to_string(), suspect.transport);
        match (self.open, open) {
            (true, false) => Verdict { suspect: Some(suspect), ..Verdict::wrong(Found::Closed { from, to, transport, refused }) },
            (false, true) => Verdict::wrong(Found::Open { from, to, transport }),
            _ => Verdict::default(),
        }
    }
}

impl Kind for Tcp {
    const ABOUT: &'static str = "A node takes another one's connections on a port.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        Door::read(item).map(Self)
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let Door { port, open, .. } = self.0;
        let (lang, from, to) = (words.lang, words.node(&self.0.from), words.node(&self.0.to));
        if open {
            t!(lang, "{to} takes connections of {from} on TCP port {port}", to, from, port)
        } else {
            t!(lang, "{to} takes no connections of {from} on TCP port {port}", to, from, port)
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        self.0.played_by(players).map(Self)
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Acts(self.0.from.0.clone())
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let transport = Transport::Tcp { port: self.0.port };
        let suspect = self.0.suspect(stage, transport)?;
        let came = call(stage, &suspect.from, Caller { transport, to: suspect.to, scope: 0, source: None, ttl: None })?;
        Ok(self.0.verdict(suspect, came == Some(Ok(())), came == Some(Err(Errno::ECONNREFUSED))))
    }
}

/// What comes of a connection.
fn call(stage: &Stage<'_>, from: &NodeId, caller: Caller) -> Result<Option<Result<(), Errno>>, Common> {
    let place = stage.scene.place(from)?;
    let calls = Call::open(&place.pin, &from.to_string(), caller, 1).map_err(|error| Common::from(&error))?;
    let Some(call) = calls.first() else { return Ok(None) };
    Ok(call.begin(&[]).map_or_else(|errno| Some(Err(errno)), |()| call.wait(PATIENCE)))
}
