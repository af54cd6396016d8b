//! Remotes.

use crate::error::RemoteFault;
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, quoted, reason, say, t};

/// Why a remote is of no use.
pub fn fault(lang: Lang, fault: &RemoteFault) -> Message {
    match fault {
        RemoteFault::Unreachable { remote, address, errno } => {
            let reason = reason(lang, *errno);
            let message = say(t!(lang, "cannot reach {remote} at {address}: {reason}", remote, address, reason));
            let why = if address.starts_with('/') {
                t!(lang, "No agent and no LXD listens there.")
            } else {
                t!(lang, "It does not run, or its address cannot be reached from here; that of a lab's host only from its lab.")
            };
            message.why(why).hint(t!(lang, "sudo nslab shell host-a, then the command again in there"))
        }
        RemoteFault::Handshake { remote, address, why } => {
            say(t!(lang, "{remote} at {address} speaks no TLS 1.3: {why}", remote, address, why))
                .why(t!(lang, "Agents and LXD listen on port 8443, as a rule."))
        }
        RemoteFault::Changed { remote, old, new } => {
            say(t!(lang, "the certificate of {remote} changed, so nothing was said to it", remote))
                .why(t!(lang, "It was {old}\n  and is  {new}", old, new))
                .hint(t!(lang, "if that is right: nslab remote remove {remote}, then nslab remote add with a new token", remote))
        }
        RemoteFault::Untrusted(remote) => say(t!(lang, "{remote} does not trust this client", remote))
            .hint(t!(
                lang,
                "nslab agent token --name CLIENT, or lxc config trust add --name CLIENT, on the other host prints a token"
            ))
            .hint(format!("nslab remote add {} TOKEN", escape(remote))),
        RemoteFault::Refused { remote, text, .. } => say(t!(lang, "{remote} says: {text}", remote, text)),
        RemoteFault::NoApi(remote) => say(t!(lang, "{remote} does not answer as LXD, Incus or an agent do", remote)),
        RemoteFault::Cut(remote) => say(t!(lang, "{remote} ended the connection before the work was done", remote)),
        RemoteFault::NoToken(word) => say(t!(lang, "{word} is neither a token nor an address", word = quoted(lang, word)))
            .why(t!(lang, "A token is one long word, printed by the other host.")),
        RemoteFault::Exists(name) => say(t!(lang, "there is a remote {name} already", name = quoted(lang, name))).hint(t!(
            lang,
            "nslab remote remove {name}, or another name",
            name
        )),
        RemoteFault::Store { file, errno } => {
            say(t!(lang, "cannot use {file}: {reason}", file = file.display(), reason = reason(lang, *errno)))
        }
        RemoteFault::Damaged(file) => say(t!(lang, "{file} is damaged", file = file.display()))
            .why(t!(lang, "Remotes, this client's key and its certificate are kept there."))
            .hint(t!(lang, "mend or remove it, then nslab remote add")),
    }
}

/// Whether a certificate is the right one.
pub fn question(lang: Lang, address: &str, fingerprint: &str) -> String {
    t!(lang, "{address} has the certificate {fingerprint}. Is that the right one? [y/N]", address, fingerprint)
}
