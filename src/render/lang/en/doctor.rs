//! Sentences of the doctor.

use super::errors::foreign;
use super::{count, quoted};
use crate::render::escape::escape;
use crate::render::lang::Message;
use crate::report::doctor::{Ability, Doctor, Finding, Leftover, LimitName, Rights, Unseen};

pub(super) fn rights(rights: Rights) -> &'static str {
    match rights {
        Rights::Root => "root of the machine",
        Rights::UserNamespace => "root of a user namespace",
        Rights::Restricted => "root without the rights that labs need",
        Rights::None => "no root: sudo nslab, or unshare -Urnm first",
    }
}

pub(super) fn ability(ability: Ability) -> &'static str {
    match ability {
        Ability::NetworkNamespaces => "network namespaces",
        Ability::SandboxNamespaces => "PID, mount, UTS and IPC namespaces",
        Ability::Veth => "veth pairs",
        Ability::Bridge => "bridges",
        Ability::Ipv6 => "IPv6",
        Ability::Overlay => "overlay mounts",
        Ability::Tun => "tun and tap",
        Ability::Vlan => "VLANs (802.1Q)",
        Ability::Vxlan => "VXLAN",
        Ability::Macvlan => "macvlan",
        Ability::Vrf => "VRF",
        Ability::PacketSockets => "packet sockets",
    }
}

pub(super) fn limit(limit: LimitName) -> &'static str {
    match limit {
        LimitName::NetNamespaces => "user.max_net_namespaces",
        LimitName::Mounts => "fs.mount-max",
        LimitName::OpenFiles => "open files (ulimit -n)",
        LimitName::Neighbours => "net.ipv4.neigh.default.gc_thresh3",
        LimitName::Memory => "memory available, in bytes",
    }
}

fn message(what: impl Into<String>, why: &str, hints: &[&str]) -> Message {
    let hints = hints.iter().map(|&hint| hint.to_owned()).collect();
    Message { what: what.into(), why: Some(why.to_owned()), hints }
}

pub(super) fn finding(finding: &Finding) -> Message {
    match finding {
        Finding::AppArmorUserns => message(
            "AppArmor keeps user namespaces from programs that it does not know (kernel.apparmor_restrict_unprivileged_userns=1, Ubuntu)",
            "`unshare -Urnm` gives a root that may do nothing; `sudo nslab` is not affected.",
            &[
                "sudo nslab ... instead",
                "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0   until the next restart, for every program",
                "a profile with `userns,` for /usr/bin/unshare in /etc/apparmor.d   for that program alone",
            ],
        ),
        Finding::UsernsClone => message(
            "only root may make user namespaces (kernel.unprivileged_userns_clone=0)",
            "`unshare -Urnm` fails; `sudo nslab` is not affected.",
            &["sudo sysctl kernel.unprivileged_userns_clone=1"],
        ),
        Finding::FewUserNamespaces { value } => message(
            format!("user.max_user_namespaces is {value}"),
            "`unshare -Urnm` fails when they are used up; `sudo nslab` is not affected.",
            &["sudo sysctl user.max_user_namespaces=65536"],
        ),
        Finding::BridgeNetfilter => message(
            "this machine's packet filters see bridged frames (br_netfilter)",
            "They drop none of a lab's as they are now. A firewall or docker that starts later may: nslab doctor says so then.",
            &[],
        ),
        Finding::Forwarding { lab: Some(lab) } => message(
            "this machine forwards packets (net.ipv4.ip_forward=1)",
            &format!("The lab {} needs that, since this machine is a router of it; nslab down puts it back.", quoted(lab)),
            &[],
        ),
        Finding::Forwarding { lab: None } => message(
            "this machine forwards packets (net.ipv4.ip_forward=1)",
            "Every node of a lab on one machine has a setting of its own. With --role this machine is a host of the lab, and forwards \
             also where the file says that the host does not.",
            &[],
        ),
        Finding::FallbackDevices { names } => message(
            format!("every new network namespace has {} (fallback devices of the kernel's tunnel modules)", listed(names)),
            "So has every node of a lab. They are down and carry nothing; nslab neither counts nor draws them, and nobody can delete them.",
            &[],
        ),
        Finding::Capability { name } => message(
            format!("root lacks {name}"),
            "A container or a service manager took it away; no lab can be made.",
            &["run nslab outside, or give the container --privileged"],
        ),
        Finding::SmallNeighbourTable { value } => message(
            format!("the machine keeps {value} neighbours at most (net.ipv4.neigh.default.gc_thresh3)"),
            "All labs share them. When many containers talk to each other, pings fail with \"neighbor table overflow\".",
            &["sudo sysctl net.ipv4.neigh.default.gc_thresh3=65536"],
        ),
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| escape(name)).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        names => names.concat(),
    }
}

pub(super) fn leftover(leftover: &Leftover) -> Message {
    match leftover {
        Leftover::Stale { lab } => message(
            format!("the lab {} is from before the last restart", quoted(lab)),
            "Only its record is left.",
            &[&format!("nslab down {}", escape(lab))],
        ),
        Leftover::Unfinished { lab } => message(
            format!("the lab {} is half made", quoted(lab)),
            "An up or down was cut short.",
            &[&format!("nslab up {0} completes it, nslab down {0} removes it", escape(lab))],
        ),
        Leftover::Forgotten { lab } => message(
            format!("the lab {} was made by nslab for itself and is still up", quoted(lab)),
            "That nslab was killed before it took it down.",
            &[&format!("nslab down {}", escape(lab))],
        ),
        Leftover::NoJournal { lab } => message(
            format!("namespaces of a lab {} have no record", quoted(lab)),
            "Its record was removed or is damaged.",
            &[&format!("nslab down {}", escape(lab))],
        ),
        Leftover::Foreign { path, owner } => foreign(path, owner),
        Leftover::DeadLink { path } => message(
            format!("{} leads nowhere", escape(&path.display().to_string())),
            "It is the name of a namespace that is gone.",
            &[&format!("rm {}", escape(&path.display().to_string()))],
        ),
    }
}

pub(super) fn unseen(unseen: Unseen) -> String {
    match unseen {
        Unseen::Features => "Without root, what the kernel can do was not tried: sudo nslab doctor".to_owned(),
        Unseen::Interference => "Without root, packet filters were not read: sudo nslab doctor".to_owned(),
        Unseen::Leftovers => "Without root, the records of labs were not read: sudo nslab doctor".to_owned(),
    }
}

pub(super) fn verdict(doctor: &Doctor) -> String {
    let broken = doctor.features.iter().filter(|feature| feature.needed && feature.works == Some(false)).count();
    match (broken, doctor.rights) {
        (0, Rights::None) => "Nothing seen speaks against labs here; with root there is more to see.".to_owned(),
        (0, Rights::Restricted) => "No lab can be made here: root lacks rights.".to_owned(),
        (0, _) if doctor.is_occupied() => "No lab can be made here: their place belongs to another user.".to_owned(),
        (0, _) => "Labs work here.".to_owned(),
        _ => format!("No lab can be made here: {} missing.", count(broken, "needed feature is", "needed features are")),
    }
}
