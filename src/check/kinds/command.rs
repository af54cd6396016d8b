//! `command`: a command in a node's sandbox, its exit code and output.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::evidence::{Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Machine, node};
use crate::check::scene::Scene;
use crate::error::Result;
use crate::kernel::sandbox::{self, Exit, Run};
use crate::lab;
use crate::plan::NodeId;
use crate::render::lang::{n, t, w};
use crate::render::sentences::statement::{Say, Words};
use crate::topology::reader::Item;
use crate::topology::values::{text, whole};

/// Characters of the output that are evidence.
const SHOWN: usize = 400;

/// A command in a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The node.
    node: Machine,
    /// For `sh -c`.
    run: String,
    /// The exit code that it must end with.
    exit: u8,
    /// What its output must contain.
    output: Option<String>,
    /// Seconds that it may take.
    seconds: u16,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// The command ended otherwise: its exit code and output.
    Ended { code: i32, wanted: u8, output: String },
    /// The output does not contain what it must.
    Output { output: String },
    /// The command did not end in time.
    TooSlow { seconds: u16 },
}

impl Seen for Found {}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::Ended { code, wanted, output } => {
                let ended = t!(lang, "It ended with {code}, not {wanted}.", code, wanted);
                if output.is_empty() { ended } else { format!("{ended} {} {output}", w!(lang, "It says:")) }
            }
            Self::Output { output } if output.is_empty() => t!(lang, "It says nothing."),
            Self::Output { output } => format!("{} {output}", w!(lang, "It says:")),
            Self::TooSlow { seconds } => {
                t!(lang, "It had not ended after {time}, and was killed.", time = n!(lang, *seconds, "second", "seconds"))
            }
        }
    }
}

impl Kind for Command {
    const ABOUT: &'static str = "A command in a node.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let node = keys.required("node", "The node.", node);
            let run = keys.required("run", "For `sh -c`.", text);
            let exit = keys.optional("exit", "The exit code that it must end with; 0 unless given.", whole("exit", 0..=255));
            let output = keys.optional("output", "What its output must contain.", text);
            let seconds = keys.optional("timeout", "Seconds that it may take; 10 unless given.", whole("timeout", 1..=600));
            let (exit, seconds) = (exit.unwrap_or(0), seconds.unwrap_or(10));
            Some(Self { node: node?, run: run?.value, exit, output: output.map(|output| output.value), seconds })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let (lang, node, command) = (words.lang, words.node(&self.node), &self.run);
        match &self.output {
            Some(output) => t!(lang, "in {node}, {command} says {output}", node, command, output),
            None => t!(lang, "in {node}, {command} ends with {code}", node, command, code = self.exit),
        }
    }

    fn played_by(&self, players: &Players<'_>) -> std::result::Result<Self, Common> {
        Ok(Self { node: players.machine(&self.node)?, ..self.clone() })
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Acts(self.node.0.clone())
    }

    fn judge(&self, stage: &Stage<'_>) -> std::result::Result<Verdict, Evidence> {
        stage.scene.place(&self.node.0)?;
        let (exit, output) = run(self, stage).map_err(|error| Common::from(&error))?;
        let text = String::from_utf8_lossy(&output).into_owned();
        let shown: String = text.trim_end().chars().take(SHOWN).collect();
        let Some(exit) = exit else { return Err(Found::TooSlow { seconds: self.seconds }.into()) };
        let code = exit.code();
        if matches!(code, 126 | 127) && i32::from(self.exit) != code {
            return Err(Common::NoCommand { command: self.run.clone(), code }.into());
        }
        if code != i32::from(self.exit) {
            return Err(Found::Ended { code, wanted: self.exit, output: shown }.into());
        }
        if self.output.as_ref().is_some_and(|wanted| !text.contains(wanted)) {
            return Err(Found::Output { output: shown }.into());
        }
        Ok(Verdict::default())
    }
}

fn run(command: &Command, stage: &Stage<'_>) -> Result<(Option<Exit>, Vec<u8>)> {
    let name = &stage.scene.view.lab;
    let (lock, journal) = lab::hold(name)?;
    let node = command.node.0.clone();
    let clients = match &node {
        NodeId::Host(host) => lab::agents::clients(name, host, false).ok().map(|(clients, _)| clients),
        _ => None,
    };
    let spec = lab::agents::spec(name, &node, journal.described(), false, clients);
    let argv = ["sh", "-c", &command.run].map(Into::into).to_vec();
    let run = Run { argv, captured: true, ..Run::default() };
    let started = sandbox::start(&lab::paths::sandboxes(name), &spec, &run)?;
    drop(lock);
    started.output(Duration::from_secs(command.seconds.into()))
}
