//! Notices, questions, and what is said of the command line itself.

use super::{capture, errors, interference, remote, role};
use crate::render::lang::{Lang, n, quoted, t, w};
use crate::report::notice::{Notice, Question};

/// A notice.
pub fn notice(lang: Lang, notice: &Notice) -> String {
    match notice {
        Notice::Listening(points) => capture::listening(lang, points),
        Notice::PointsDown(points) => capture::down(lang, points),
        Notice::PointsGone { points, left } => capture::gone(lang, points, *left),
        Notice::Captured(end, file) => capture::end(lang, end, file.as_deref()),
        Notice::KeptDefault { routes } => role::kept_default(lang, routes),
        Notice::Agentless { host, why } => {
            let why = errors::error(lang, why).what;
            t!(lang, "lxc finds no agent in {host}: {why}. nslab agent start {host} says more.", host, why)
        }
        Notice::Class { host } => t!(
            lang,
            "here lxc commands the containers of {host}. Every name of an image, ubuntu:22.04 too, means this machine's own files: nothing is downloaded.",
            host
        ),
        Notice::Interference(found) => interference::message(lang, found).what,
        Notice::OwnDescription { lab } => t!(
            lang,
            "{lab} is up from a description of its own, which it keeps; for the built-in one: nslab down {lab} first.",
            lab
        ),
        Notice::Assumed { lab, exact } => t!(
            lang,
            "several labs are up; taking {lab}. Name it exactly with {exact}, or choose the lab with NSLAB_LAB={lab}.",
            lab,
            exact
        ),
    }
}

/// A question, with its possible answers.
pub fn question(lang: Lang, question: &Question) -> String {
    match question {
        Question::Certificate { address, fingerprint } => remote::question(lang, address, fingerprint),
        Question::Reset { lab, by_hand } => {
            let things = n!(lang, *by_hand, "thing", "things");
            t!(lang, "Remove what was made by hand in {lab} ({things})? [y/N]", lab, things)
        }
    }
}

/// Whether an answer means yes.
pub fn is_yes(lang: Lang, answer: &str) -> bool {
    let answer = answer.trim().to_lowercase();
    w!(lang, ["answers"] "y yes").split(' ').any(|yes| yes == answer)
}

/// That nslab itself is wrong: the panic's message and place.
pub fn bug(lang: Lang, message: &str, place: &str) -> String {
    let said = t!(lang, "nslab: a mistake in nslab itself ({place}): {message}", place, message);
    format!("{said}\n  {}", w!(lang, "nslab status tells what is there; please report this line."))
}

/// That nslab has no such command line.
pub fn not_understood(lang: Lang, typed: &str) -> String {
    t!(lang, "cannot make sense of {typed}", typed = quoted(lang, typed))
}

/// That a lab or a topology was given to a command for containers.
pub fn lab_for_container(lang: Lang, word: &str) -> String {
    t!(lang, "{word} is a whole lab, and this command takes one of its nodes", word = quoted(lang, word))
}
