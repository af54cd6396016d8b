//! `nslab doctor`

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, Run, lacking};
use crate::error::{Error, Owner, Result};
use crate::kernel::{caller, fallback, feature};
use crate::lab;
use crate::lab::role::Seen;
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, n, quoted, t, w, words};
use crate::render::sentences;
use crate::render::sentences::doctor::message;
use crate::render::sentences::errors::foreign;
use crate::render::table::{Table, broken, section};
use crate::render::{Show, Style, lines};
use crate::report::lab::Condition;
use crate::report::machine::{Feature, Finding, Interference, Limit};

/// More containers than anybody wants; a limit that allows them is none.
const PLENTY: u64 = 1_000_000;

/// Look at what this machine can do, what may get in the way, and what was left over
///
/// Touches nothing: features are tried in namespaces that end at once. Ends with 3 when no lab can be made here.
#[derive(Debug, clap::Args)]
pub struct Doctor;

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub struct Health {
    /// The kernel's release.
    kernel: String,
    /// How nslab may work here.
    rights: Rights,
    /// What the kernel can do, tried for real.
    features: Vec<Feature>,
    /// Limits that a lab may meet.
    limits: Vec<Limit>,
    /// Settings and software that could get in the way.
    findings: Vec<Finding>,
    /// What gets in the way of labs that have a role here, or would.
    interference: Vec<Interference>,
    /// What an earlier nslab, or somebody else, left behind.
    leftovers: Vec<Leftover>,
    /// What could not be looked at, for want of rights.
    unseen: Vec<Unseen>,
}

/// With which rights nslab runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Rights {
    /// Root of the machine.
    Root,
    /// Root of a user namespace.
    UserNamespace,
    /// Root, but without a capability that labs need.
    Restricted,
    /// A user.
    None,
}

/// Something that was left over.
#[derive(Debug, Serialize)]
#[serde(tag = "leftover", rename_all = "kebab-case")]
enum Leftover {
    /// A lab from before the last restart.
    Stale { lab: String },
    /// A lab whose `up` or `down` was cut short.
    Unfinished { lab: String },
    /// A lab that an nslab has made for itself, which was killed.
    Forgotten { lab: String },
    /// Pins of a lab that has no journal.
    NoJournal { lab: String },
    /// Somebody else's things where nslab keeps its own.
    Foreign { path: PathBuf, owner: Owner },
    /// A name in `/run/netns` that leads nowhere.
    DeadLink { path: PathBuf },
}

/// Something that could not be looked at.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Unseen {
    /// What the kernel can do.
    Features,
    /// What earlier labs left.
    Leftovers,
    /// Packet filters, and who else configures NICs.
    Interference,
}

impl Run for Doctor {
    type Out = Health;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let rights = own_rights();
        let able = matches!(rights, Rights::Root | Rights::UserNamespace);
        let mut findings = feature::findings();
        if rights == Rights::Restricted {
            findings.extend(lacking().map(|name| Finding::Capability { name }));
        }
        let mut unseen = Vec::new();
        let seen = if able { lab::role::on_this_machine() } else { Seen::default() };
        if !able {
            unseen.extend([Unseen::Features, Unseen::Leftovers, Unseen::Interference]);
        }
        findings.extend(seen.netfilter.then_some(Finding::BridgeNetfilter));
        findings.extend(feature::forwards().then_some(Finding::Forwarding { lab: seen.forwards }));
        let names = fallback::everywhere();
        findings.extend((!names.is_empty()).then_some(Finding::FallbackDevices { names }));
        let mut leftovers = dead_links(Path::new("/run/netns"));
        if able {
            leftovers.extend(labs());
        }
        Ok(Health {
            kernel: feature::release(),
            rights,
            features: if able { feature::features() } else { Vec::new() },
            limits: feature::limits(),
            findings,
            interference: seen.found,
            leftovers,
            unseen,
        })
    }
}

fn own_rights() -> Rights {
    match (lacking(), nix::unistd::geteuid().is_root()) {
        (None, _) if caller::is_in_user_namespace() => Rights::UserNamespace,
        (None, _) => Rights::Root,
        (Some(_), true) => Rights::Restricted,
        (Some(_), false) => Rights::None,
    }
}

/// Labs that are not as they should be.
fn labs() -> Vec<Leftover> {
    let known = lab::every();
    let broken = known.iter().filter(|entry| !lab::journal::is_in_use(entry.lab.as_str())).filter_map(|entry| {
        let lab = entry.lab.to_string();
        match lab::status(&entry.lab).map(|status| status.condition) {
            Ok(Condition::Stale) => Some(Leftover::Stale { lab }),
            // Of what one was for, a killed maker tells nobody any more.
            Ok(_) if lab::journal::is_forgotten(&lab) => Some(Leftover::Forgotten { lab }),
            Ok(Condition::Unfinished | Condition::RolledBack) => Some(Leftover::Unfinished { lab }),
            Ok(Condition::Up | Condition::Drifted) | Err(Error::Foreign { .. }) => None,
            Err(_) => Some(Leftover::NoJournal { lab }),
        }
    });
    let foreign = match lab::paths::whose() {
        Some(Error::Foreign { path, owner }) => Some(Leftover::Foreign { path, owner }),
        _ => None,
    };
    let unknown = lab::paths::labs().into_iter().filter(|lab| known.iter().all(|entry| entry.lab != *lab));
    let unknown: Vec<_> = unknown.map(|lab| Leftover::NoJournal { lab: lab.to_string() }).collect();
    broken.chain(unknown).chain(foreign).collect()
}

/// The caller's own names of namespaces that lead nowhere; where one may not look, that is not known.
fn dead_links(directory: &Path) -> Vec<Leftover> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let leads_nowhere = |path: &PathBuf| path.is_symlink() && path.try_exists().is_ok_and(|there| !there);
    let dead = entries.map(|entry| entry.path()).filter(|path| leads_nowhere(path) && lab::paths::is_own(path));
    dead.map(|path| Leftover::DeadLink { path }).collect()
}

impl Show for Health {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        let mut text = format!("Linux {}, {}\n\n", escape(&self.kernel), self.rights.label(lang));
        text += &section(w!(lang, "What this kernel can do"), &features(&self.features, style));
        text += &section(w!(lang, "Limits"), &limits(&self.limits, style));
        let (harmless, findings): (Vec<_>, Vec<_>) = self.findings.iter().partition(|finding| finding.harmless());
        let findings = findings.into_iter().map(|finding| sentences::doctor::finding(lang, finding));
        let harmless = harmless.into_iter().map(|finding| sentences::doctor::finding(lang, finding));
        let interference = self.interference.iter().map(|found| sentences::doctor::interference(lang, found));
        let leftovers = self.leftovers.iter().map(|leftover| leftover.message(lang));
        text += &messages(w!(lang, "What may get in the way"), findings.chain(interference), style);
        text += &messages(w!(lang, "What looks odd and is harmless"), harmless, style);
        text += &messages(w!(lang, "What was left over"), leftovers, style);
        text += &lines(&self.unseen.iter().map(|unseen| unseen.sentence(lang)).collect::<Vec<_>>());
        text + &style.bold(&self.verdict(lang)) + "\n"
    }

    fn exit_code(&self) -> u8 {
        if self.missing() == 0 && self.rights != Rights::Restricted && !self.is_occupied() { 0 } else { 3 }
    }
}

impl Health {
    /// How many features that labs need are known to be missing.
    fn missing(&self) -> usize {
        self.features.iter().filter(|feature| feature.needed && feature.works == Some(false)).count()
    }

    /// Whether somebody else's things are where nslab keeps its own.
    fn is_occupied(&self) -> bool {
        self.leftovers.iter().any(|leftover| matches!(leftover, Leftover::Foreign { .. }))
    }

    /// The last line.
    fn verdict(&self, lang: Lang) -> String {
        match (self.missing(), self.rights) {
            (0, Rights::None) => t!(lang, "Nothing seen speaks against labs here; with root there is more to see."),
            (0, Rights::Restricted) => t!(lang, "No lab can be made here: root lacks rights."),
            (0, _) if self.is_occupied() => t!(lang, "No lab can be made here: their place belongs to another user."),
            (0, _) => t!(lang, "Labs work here."),
            (missing, _) => {
                let missing = n!(lang, missing, "needed feature is missing", "needed features are missing");
                t!(lang, "No lab can be made here: {missing}.", missing)
            }
        }
    }
}

impl Rights {
    fn label(self, lang: Lang) -> &'static str {
        match self {
            Self::Root => w!(lang, "root of the machine"),
            Self::UserNamespace => w!(lang, "root of a user namespace"),
            Self::Restricted => w!(lang, "root without the rights that labs need"),
            Self::None => w!(lang, "no root: sudo nslab, or unshare -Urnm first"),
        }
    }
}

impl Unseen {
    fn sentence(self, lang: Lang) -> String {
        match self {
            Self::Features => t!(lang, "Without root, what the kernel can do was not tried: sudo nslab doctor"),
            Self::Interference => t!(lang, "Without root, packet filters were not read: sudo nslab doctor"),
            Self::Leftovers => t!(lang, "Without root, the records of labs were not read: sudo nslab doctor"),
        }
    }
}

impl Leftover {
    /// What, why it matters, what to type.
    fn message(&self, lang: Lang) -> Message {
        let down = |lab: &str| format!("nslab down {}", escape(lab));
        match self {
            Self::Stale { lab } => message(
                t!(lang, "the lab {lab} is from before the last restart", lab = quoted(lang, lab)),
                w!(lang, "Only its record is left."),
                &[&down(lab)],
            ),
            Self::Unfinished { lab } => message(
                t!(lang, "the lab {lab} is half made", lab = quoted(lang, lab)),
                w!(lang, "An up or down was cut short."),
                &[&t!(lang, "nslab up {lab} completes it, nslab down {lab} removes it", lab)],
            ),
            Self::Forgotten { lab } => message(
                t!(lang, "the lab {lab} was made by nslab for itself and is still up", lab = quoted(lang, lab)),
                w!(lang, "That nslab was killed before it took it down."),
                &[&down(lab)],
            ),
            Self::NoJournal { lab } => message(
                t!(lang, "namespaces of a lab {lab} have no record", lab = quoted(lang, lab)),
                w!(lang, "Its record was removed or is damaged."),
                &[&down(lab)],
            ),
            Self::Foreign { path, owner } => foreign(lang, path, owner),
            Self::DeadLink { path } => message(
                t!(lang, "{path} leads nowhere", path = path.display()),
                w!(lang, "It is the name of a namespace that is gone."),
                &[&format!("rm {}", escape(&path.display().to_string()))],
            ),
        }
    }
}

fn features(features: &[Feature], style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "WORKS", "NAME"));
    for feature in features {
        let works = match feature.works {
            Some(true) => w!(style.lang, "yes"),
            Some(false) => w!(style.lang, "no"),
            None => w!(style.lang, "?"),
        };
        table.row([works, sentences::doctor::ability(style.lang, feature.name)]);
    }
    table
}

fn limits(limits: &[Limit], style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "LIMIT", "VALUE", "ALLOWS")).right(&[1]);
    for limit in limits {
        let value = match limit.value {
            None => w!(style.lang, "?").to_owned(),
            Some(u64::MAX) => w!(style.lang, "no limit").to_owned(),
            Some(value) => value.to_string(),
        };
        let allows = limit.containers.filter(|&number| number < PLENTY);
        let allows = allows.map(|containers| t!(style.lang, "about {containers} containers", containers));
        table.row([sentences::doctor::limit(style.lang, limit.name), &value, &allows.unwrap_or_default()]);
    }
    table
}

fn messages(title: &str, messages: impl Iterator<Item = Message>, style: Style) -> String {
    let mut lines = Vec::new();
    for message in messages {
        lines.extend(broken("  ", "  ", &message.what));
        lines.extend(message.why.iter().flat_map(|why| broken("    ", "    ", why)));
        // What to type stays on one line, as it can be copied.
        lines.extend(message.hints.iter().map(|hint| format!("    {}: {hint}", w!(style.lang, "try"))));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("{}\n{}\n\n", style.bold(title), lines.join("\n"))
}
