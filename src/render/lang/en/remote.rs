//! Sentences about remotes.

use super::errors::reason;
use super::quoted;
use crate::error::RemoteFault;
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::remote::Outcome;

pub(super) fn fault(fault: &RemoteFault) -> Message {
    match fault {
        RemoteFault::Unreachable { remote, address, errno } => {
            let message = say(format!("cannot reach {} at {}: {}", escape(remote), escape(address), reason(*errno)));
            if address.starts_with('/') {
                message.why("No agent and no LXD listens there.")
            } else {
                message
                    .why("It does not run, or its address cannot be reached from here; that of a lab's host only from its lab.")
                    .hint("sudo nslab shell host-a, then the command again in there")
            }
        }
        RemoteFault::Handshake { remote, address, why } => {
            say(format!("{} at {} speaks no TLS 1.3: {}", escape(remote), escape(address), escape(why)))
                .why("Agents and LXD listen on port 8443, as a rule.")
        }
        RemoteFault::Changed { remote, old, new } => {
            say(format!("the certificate of {} changed, so nothing was said to it", escape(remote)))
                .why(format!("It was {old}\n  and is  {new}"))
                .hint(format!("if that is right: nslab remote remove {}, then nslab remote add with a new token", escape(remote)))
        }
        RemoteFault::Untrusted(remote) => say(format!("{} does not trust this client", escape(remote)))
            .hint("nslab agent token --name CLIENT, or lxc config trust add --name CLIENT, on the other host prints a token")
            .hint(format!("nslab remote add {} TOKEN", escape(remote))),
        RemoteFault::Refused { remote, text, .. } => say(format!("{} says: {}", escape(remote), escape(text))),
        RemoteFault::NoApi(remote) => say(format!("{} does not answer as LXD, Incus or an agent do", escape(remote))),
        RemoteFault::Cut(remote) => say(format!("{} ended the connection before the work was done", escape(remote))),
        RemoteFault::NoToken(word) => say(format!("{} is neither a token nor an address", quoted(word)))
            .why("A token is one long word, printed by the other host."),
        RemoteFault::Exists(name) => say(format!("there is a remote {} already", quoted(name)))
            .hint(format!("nslab remote remove {}, or another name", escape(name))),
        RemoteFault::Store { file, errno } => {
            say(format!("cannot use {}: {}", escape(&file.display().to_string()), reason(*errno)))
        }
        RemoteFault::Damaged(file) => say(format!("{} is damaged", escape(&file.display().to_string())))
            .why("Remotes, this client's key and its certificate are kept there.")
            .hint("mend or remove it, then nslab remote add"),
    }
}

pub(super) fn question(address: &str, fingerprint: &str) -> String {
    format!("{} has the certificate {fingerprint}. Is that the right one? [y/N]", escape(address))
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Added { remote, address } => format!("{} is a remote at {}.", escape(remote), escape(address)),
        Outcome::Declined { remote } => format!("{} was not added.", escape(remote)),
        Outcome::Removed { remote } => format!("{} is no remote any more.", escape(remote)),
        Outcome::Launched { remote, name } => format!("{}:{} runs.", escape(remote), escape(name)),
        Outcome::Started { remote, name } => format!("{}:{} was started.", escape(remote), escape(name)),
        Outcome::Stopped { remote, name } => format!("{}:{} was stopped.", escape(remote), escape(name)),
        Outcome::Restarted { remote, name } => format!("{}:{} was restarted.", escape(remote), escape(name)),
        Outcome::Deleted { remote, name } => format!("{}:{} was deleted.", escape(remote), escape(name)),
    }
}

pub(super) fn no_remotes() -> String {
    "No remote is known. The other host prints a token: nslab remote add NAME TOKEN.".to_owned()
}

pub(super) fn no_instances(remote: &str) -> String {
    format!("{} has no containers.", escape(remote))
}
