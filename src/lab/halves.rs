//! The halves of a lab that are on other machines: what their answers prove of the network between them.

mod frame;
pub mod talk;

use std::time::Duration;

use frame::{Half, Heard, ends};
use talk::{Other, Talk, ask};

use super::journal::Journal;
use crate::error::{Error, Result};
use crate::name::NodeName;
use crate::report::half::{Answer, Discord, Frames, Halves, Way};

/// A day, in seconds.
const DAY: u64 = 86_400;

/// Who plays the rest of a lab of which this machine has a half, as far as it can be asked on the half's NICs; waits so long
/// for those that do not answer. None for a whole lab.
///
/// # Errors
/// At Ctrl-C; where nothing can be asked, nobody answers.
pub fn others(journal: &Journal, patience: Duration) -> Result<Option<Halves>> {
    let (Some(role), Some(whole)) = (&journal.topology.role, &journal.whole) else { return Ok(None) };
    let names = |hosts: Vec<&NodeName>| -> Vec<String> { hosts.into_iter().map(ToString::to_string).collect() };
    let mut talks = Vec::new();
    for (described, nic) in &role.nics {
        match ask(journal, nic, patience, whole.beside(&role.host, described).len()) {
            Ok(talk) => talks.extend(talk),
            Err(error @ Error::Signal(_)) => return Err(error),
            Err(_) => {}
        }
    }
    let mut neighbours: Vec<&NodeName> = role.nics.keys().flat_map(|nic| whole.beside(&role.host, nic)).collect();
    neighbours.sort();
    neighbours.dedup();
    let hosts = whole.hosts.iter().map(|host| &host.name).filter(|name| **name != role.host).collect();
    Ok(Some(judge(&talks, &names(neighbours), &names(hosts))))
}

/// What was learned on all NICs; `neighbours` are the hosts that the file has on them, `hosts` all but this machine's own.
fn judge(talks: &[Talk], neighbours: &[String], hosts: &[String]) -> Halves {
    let mut found = Halves::default();
    let mut lost = Vec::new();
    for talk in talks {
        for other in &talk.others {
            let Half { role, lab, hostname, mac, nslab, .. } = other.half.clone();
            let nic = talk.nic.to_string();
            found.answers.push(Answer { host: role, lab, hostname, mac: mac.to_string(), nic, version: nslab });
            found.findings.extend(discords(talk, &other.half, hosts));
            if other.half.mac != talk.me.mac && other.half.lab == talk.me.lab {
                lost.extend(missing(talk, other, other.here, Way::In));
                lost.extend(missing(talk, other, other.there, Way::Out));
            }
        }
    }
    let mut notes: Vec<Discord>;
    (notes, found.findings) = found.findings.into_iter().partition(Discord::is_note);
    found.findings.append(&mut lost);
    found.findings.append(&mut notes);
    let ours = |host: &&String| {
        talks
            .iter()
            .flat_map(|talk| talk.others.iter().map(move |other| (talk, other)))
            .any(|(talk, other)| other.half.role == **host && other.half.lab == talk.me.lab)
    };
    found.silent = neighbours.iter().filter(|host| !ours(host)).cloned().collect();
    found
}

/// What two halves say of themselves that does not go together.
fn discords(talk: &Talk, other: &Half, hosts: &[String]) -> Vec<Discord> {
    let me = &talk.me;
    let nic = || talk.nic.to_string();
    let host = || other.role.clone();
    if me.lab != other.lab {
        let (here, there, hostname) = (me.lab.clone(), other.lab.clone(), other.hostname.clone());
        return vec![Discord::Lab { here, there, hostname, host: host() }];
    }
    let version = me.nslab != other.nslab;
    let days = me.clock.abs_diff(other.clock) / DAY;
    let cases = [
        (me.role == other.role).then(|| Discord::Role {
            lab: me.lab.clone(),
            host: host(),
            hostname: other.hostname.clone(),
            free: hosts.to_vec(),
        }),
        (me.mac == other.mac).then(|| Discord::Mac { nic: nic(), mac: me.mac.to_string(), host: host() }),
        // Another version may describe the same file in other facts.
        (me.topology != other.topology && !version).then(|| Discord::File { lab: me.lab.clone(), host: host() }),
        (me.mtu != other.mtu).then(|| Discord::Mtu { nic: nic(), here: me.mtu, there: other.mtu, host: host() }),
        version.then(|| Discord::Version { host: host(), here: me.nslab.clone(), there: other.nslab.clone() }),
        (me.machine == other.machine && me.machine != [0; 32]).then(|| Discord::Machine { host: host() }),
        (me.hostname == other.hostname).then(|| Discord::Hostname { hostname: me.hostname.clone(), host: host() }),
        (days > 0).then(|| Discord::Clock { host: host(), days }),
    ];
    cases.into_iter().flatten().collect()
}

/// The trials that did not arrive; where not even plain ones do, the others prove nothing.
fn missing(talk: &Talk, other: &Other, heard: Heard, way: Way) -> Vec<Discord> {
    let (from, to) = match way {
        Way::In => (&other.half, &talk.me),
        Way::Out => (&talk.me, &other.half),
    };
    let sent = if heard.has(Frames::Plain) { &Frames::ALL[..] } else { &[Frames::Plain] };
    let lost = sent.iter().filter(|trial| ends(**trial, from, to).is_some() && !heard.has(**trial));
    let host = &other.half.role;
    lost.map(|&frames| Discord::Lost {
        frames,
        way,
        nic: talk.nic.to_string(),
        host: host.clone(),
        mtu: talk.me.mtu.min(other.half.mtu),
    })
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::frame::tests::half;
    use super::*;

    fn all() -> Heard {
        let mut heard = Heard::default();
        for trial in Frames::ALL {
            heard.add(trial);
        }
        heard
    }

    fn talk(other: Half, there: Heard, here: Heard) -> Talk {
        let others = vec![Other { half: other, there, here, round: 1 }];
        Talk { nic: "enp0s8".parse().unwrap(), me: half("a"), others }
    }

    fn judged(other: Half, there: Heard, here: Heard) -> Halves {
        judge(&[talk(other, there, here)], &["b".to_owned()], &["b".to_owned(), "c".to_owned()])
    }

    fn what(halves: &Halves) -> Vec<String> {
        let json = serde_json::to_value(&halves.findings).unwrap();
        json.as_array().unwrap().iter().map(|finding| finding["what"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn two_halves_of_one_lab_agree() {
        let halves = judged(half("b"), all(), all());
        assert_eq!((halves.findings, halves.silent, halves.answers.len()), (vec![], vec![], 1));
        let nobody = Talk { nic: "enp0s8".parse().unwrap(), me: half("a"), others: vec![] };
        assert_eq!(judge(&[nobody], &["b".to_owned()], &[]).silent, ["b"]);
    }

    #[test]
    fn each_discord_is_told_and_the_worst_first() {
        let clone =
            judged(Half { hostname: "vm-a".into(), machine: half("a").machine, mac: half("a").mac, ..half("b") }, all(), all());
        assert_eq!(what(&clone), ["mac", "machine", "hostname"]);
        let twice = judged(Half { role: "a".into(), ..half("b") }, all(), all());
        assert_eq!(what(&twice), ["role"]);
        assert_eq!(twice.silent, ["b"], "the other half is still to come");
        let apart = Half { topology: [1; 32], mtu: 9000, clock: half("b").clock + DAY, ..half("b") };
        assert_eq!(what(&judged(apart.clone(), all(), all())), ["file", "mtu", "clock"]);
        assert_eq!(what(&judged(Half { nslab: "9".into(), ..apart }, all(), all())), ["mtu", "version", "clock"]);
        let nameless = |role: &str| Half { machine: [0; 32], ..half(role) };
        let talk = Talk { me: nameless("a"), ..talk(nameless("b"), all(), all()) };
        assert_eq!(judge(&[talk], &[], &[]).findings, [], "machines without an id are not clones for that");
        let stranger = judged(Half { lab: "monday".into(), mtu: 9000, ..half("b") }, Heard::default(), Heard::default());
        assert_eq!((what(&stranger), stranger.silent), (vec!["lab".to_owned()], vec!["b".to_owned()]));
    }

    #[test]
    fn what_did_not_arrive_is_told_with_its_direction() {
        let without = |trial: Frames| Heard(all().0 & !(1 << trial.number()));
        let lost = |halves: Halves| -> Vec<(Frames, Way)> {
            let each = halves.findings.into_iter();
            each.map(|finding| match finding {
                Discord::Lost { frames, way, .. } => (frames, way),
                other => panic!("{other:?}"),
            })
            .collect()
        };
        assert_eq!(lost(judged(half("b"), without(Frames::ToGuest), all())), [(Frames::ToGuest, Way::Out)]);
        assert_eq!(lost(judged(half("b"), all(), without(Frames::FromGuest))), [(Frames::FromGuest, Way::In)]);
        assert_eq!(lost(judged(half("b"), without(Frames::Full), without(Frames::Full))).len(), 2);
        assert_eq!(lost(judged(half("b"), Heard::default(), all())), [(Frames::Plain, Way::Out)]);
        let routed = judged(Half { guest: None, ..half("b") }, without(Frames::ToGuest), without(Frames::FromGuest));
        assert_eq!(lost(routed), [], "a half without a bridge has nobody to send to");
    }
}
