//! Sentences of the doctor.

use crate::render::lang::{Lang, Message, and, quoted, t, w};
use crate::report::doctor::{Ability, Finding, LimitName};

/// A feature of the kernel.
pub fn ability(lang: Lang, ability: Ability) -> &'static str {
    match ability {
        Ability::NetworkNamespaces => "network namespaces",
        Ability::SandboxNamespaces => w!(lang, "PID, mount, UTS and IPC namespaces"),
        Ability::Veth => w!(lang, "veth pairs"),
        Ability::Bridge => "bridges",
        Ability::Ipv6 => "IPv6",
        Ability::Overlay => w!(lang, "overlay mounts"),
        Ability::Tun => w!(lang, "tun and tap"),
        Ability::Vlan => "VLANs (802.1Q)",
        Ability::Vxlan => "VXLAN",
        Ability::Macvlan => "macvlan",
        Ability::Vrf => "VRF",
        Ability::PacketSockets => w!(lang, "packet sockets"),
    }
}

/// A limit's name, and what it counts.
pub fn limit(lang: Lang, limit: LimitName) -> &'static str {
    match limit {
        LimitName::NetNamespaces => "user.max_net_namespaces",
        LimitName::Mounts => "fs.mount-max",
        LimitName::OpenFiles => w!(lang, "open files (ulimit -n)"),
        LimitName::Neighbours => "net.ipv4.neigh.default.gc_thresh3",
        LimitName::Memory => w!(lang, "memory available, in bytes"),
    }
}

/// What, why it matters, what to type.
pub fn message(what: impl Into<String>, why: impl Into<String>, hints: &[&str]) -> Message {
    let hints = hints.iter().map(|&hint| hint.to_owned()).collect();
    Message { what: what.into(), why: Some(why.into()), hints }
}

/// Something that may interfere: what, why it matters, what to type.
pub fn finding(lang: Lang, finding: &Finding) -> Message {
    match finding {
        Finding::AppArmorUserns => message(
            w!(
                lang,
                "AppArmor keeps user namespaces from programs that it does not know (kernel.apparmor_restrict_unprivileged_userns=1, Ubuntu)"
            ),
            w!(lang, "`unshare -Urnm` gives a root that may do nothing; `sudo nslab` is not affected."),
            &[
                w!(lang, "sudo nslab ... instead"),
                w!(
                    lang,
                    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0   until the next restart, for every program"
                ),
                w!(lang, "a profile with `userns,` for /usr/bin/unshare in /etc/apparmor.d   for that program alone"),
            ],
        ),
        Finding::UsernsClone => message(
            w!(lang, "only root may make user namespaces (kernel.unprivileged_userns_clone=0)"),
            w!(lang, "`unshare -Urnm` fails; `sudo nslab` is not affected."),
            &["sudo sysctl kernel.unprivileged_userns_clone=1"],
        ),
        Finding::FewUserNamespaces { value } => message(
            t!(lang, "user.max_user_namespaces is {value}", value),
            w!(lang, "`unshare -Urnm` fails when they are used up; `sudo nslab` is not affected."),
            &["sudo sysctl user.max_user_namespaces=65536"],
        ),
        Finding::BridgeNetfilter => message(
            w!(lang, "this machine's packet filters see bridged frames (br_netfilter)"),
            w!(
                lang,
                "They drop none of a lab's as they are now. A firewall or docker that starts later may: nslab doctor says so then."
            ),
            &[],
        ),
        Finding::Forwarding { lab } => message(
            w!(lang, "this machine forwards packets (net.ipv4.ip_forward=1)"),
            if let Some(lab) = lab {
                t!(
                    lang,
                    "The lab {lab} needs that, since this machine is a router of it; nslab down puts it back.",
                    lab = quoted(lang, lab)
                )
            } else {
                t!(
                    lang,
                    "Every node of a lab on one machine has a setting of its own. With --role this machine is a host of the lab, and forwards also where the file says that the host does not."
                )
            },
            &[],
        ),
        Finding::FallbackDevices { names } => message(
            t!(
                lang,
                "every new network namespace has {names} (fallback devices of the kernel's tunnel modules)",
                names = and(lang, names)
            ),
            w!(
                lang,
                "So has every node of a lab. They are down and carry nothing; nslab neither counts nor draws them, and nobody can delete them."
            ),
            &[],
        ),
        Finding::Capability { name } => message(
            t!(lang, "root lacks {name}", name),
            w!(lang, "A container or a service manager took it away; no lab can be made."),
            &[w!(lang, "run nslab outside, or give the container --privileged")],
        ),
        Finding::SmallNeighbourTable { value } => message(
            t!(lang, "the machine keeps {value} neighbours at most (net.ipv4.neigh.default.gc_thresh3)", value),
            w!(
                lang,
                "All labs share them. When many containers talk to each other, pings fail with \"neighbor table overflow\"."
            ),
            &["sudo sysctl net.ipv4.neigh.default.gc_thresh3=65536"],
        ),
    }
}

/// How many containers a limit allows.
pub fn allows(lang: Lang, containers: u64) -> String {
    t!(lang, "about {containers} containers", containers)
}
