//! The halves of a lab on other machines, in words.

use std::iter::{once, repeat};

use crate::render::escape::escape;
use crate::render::lang::{Lang, t, w};
use crate::report::half::{Answer, Discord, Frames, Halves, Way};

/// Who answers, and what is wrong between them and this machine.
pub fn told(lang: Lang, halves: &Halves) -> Vec<String> {
    let silent = |host: &String| {
        t!(
            lang,
            "No machine answers for {host} yet: bring that half up there, with --role {host}, on the same internal network.",
            host
        )
    };
    let mut lines: Vec<String> = halves.partners().map(|one| answer(lang, one)).collect();
    lines.extend(halves.silent.iter().map(silent));
    lines.extend(halves.findings.iter().flat_map(|discord| marked(lang, discord)));
    lines
}

fn answer(lang: Lang, answer: &Answer) -> String {
    let Answer { host, hostname, mac, nic, .. } = answer;
    t!(lang, "{host} is played by the machine {hostname}, which answers on {nic} from {mac}.", host, hostname, nic, mac)
}

/// Its lines, with a mark before what keeps the halves from being one lab.
fn marked(lang: Lang, discord: &Discord) -> Vec<String> {
    use Discord::{Clock, Hostname, Machine, Version};
    let mark = if matches!(discord, Version { .. } | Machine { .. } | Hostname { .. } | Clock { .. }) { " " } else { "!" };
    once(mark).chain(repeat(" ")).zip(finding(lang, discord)).map(|(mark, line)| format!("{mark} {line}")).collect()
}

fn finding(lang: Lang, discord: &Discord) -> Vec<String> {
    match discord {
        Discord::Role { lab, host, hostname, free } => vec![
            t!(
                lang,
                "The machine {hostname} plays {host}, too: every address and MAC address of it is there twice.",
                hostname,
                host
            ),
            t!(
                lang,
                "On one of the two: sudo nslab down {lab}, then up again with --role {free}",
                lab,
                free = free.first().map_or("HOST", String::as_str)
            ),
        ],
        Discord::Lab { here, there, hostname, host } => vec![
            t!(lang, "The machine {hostname} plays {host} of a lab {there}, not of {here}.", hostname, host, there, here),
            t!(lang, "If it is to be one lab: nslab down there, then up with --name {here}; else use two networks.", here),
        ],
        Discord::Mac { nic, mac, host } => vec![
            t!(lang, "{nic} has the MAC address {mac}, as the NIC of {host}'s machine has: a clone's.", nic, mac, host),
            t!(lang, "Shut one of the machines down and give its adapter a new one; VirtualBox:"),
            "VBoxManage modifyvm VM --macaddress2 auto".to_owned(),
        ],
        Discord::File { lab, host } => vec![
            t!(lang, "The machine of {host} has {lab} up from another file, or another state of it.", host, lab),
            t!(lang, "Copy one file to both machines and bring it up on both."),
        ],
        Discord::Mtu { nic, here, there, host } => vec![
            t!(
                lang,
                "{nic} has an MTU of {here} bytes, the NIC of {host}'s machine of {there}: large packets get lost.",
                nic,
                here,
                host,
                there
            ),
            t!(lang, "nslab down on both, give both NICs the same, then up:"),
            format!("sudo ip link set {} mtu {}", escape(nic), here.min(there)),
        ],
        Discord::Lost { frames, way, nic, host, mtu } => lost(lang, *frames, *way, nic, host, *mtu),
        Discord::Version { host, here, there } => vec![t!(
            lang,
            "The machine of {host} has nslab {there}, this one {here}: whether the files differ is not known.",
            host,
            there,
            here
        )],
        Discord::Machine { host } => vec![
            t!(lang, "The machine of {host} has the same machine-id as this one, as a clone has. On one of the two:", host),
            "sudo rm /etc/machine-id && sudo systemd-machine-id-setup && sudo reboot".to_owned(),
        ],
        Discord::Hostname { hostname, host } => vec![
            t!(lang, "The machine of {host} is called {hostname}, too. On one of the two:", host, hostname),
            t!(lang, "sudo hostnamectl set-hostname NAME"),
        ],
        Discord::Clock { host, days } => {
            let days = if *days == 1 { t!(lang, "a day") } else { t!(lang, "{days} days", days) };
            vec![t!(lang, "The clock of {host}'s machine is {days} or more away from this one's.", host, days)]
        }
    }
}

fn lost(lang: Lang, frames: Frames, way: Way, nic: &str, host: &str, mtu: u32) -> Vec<String> {
    let (this, other) = (w!(lang, "this machine").to_owned(), t!(lang, "the machine of {host}", host));
    let (way, sender, receiver) = match way {
        Way::In => (t!(lang, "from {host}'s machine to {nic}", host, nic), other, this),
        Way::Out => (t!(lang, "from {nic} to {host}'s machine", nic, host), this, other),
    };
    match frames {
        Frames::Plain => vec![
            t!(lang, "Broadcasts pass {way}, frames for its own MAC address do not.", way),
            t!(lang, "Something between the machines filters, or a third NIC there has that MAC address."),
        ],
        Frames::ToGuest => vec![
            t!(lang, "Frames for containers do not pass {way}: their MAC addresses are not the NIC's own.", way),
            t!(lang, "Let the adapter of {receiver} take them; VirtualBox:", receiver),
            "VBoxManage controlvm VM nicpromisc2 allow-all".to_owned(),
            t!(lang, "VMware: Promiscuous mode: Accept. Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On"),
        ],
        Frames::FromGuest => vec![
            t!(lang, "Frames of containers do not pass {way}: their MAC addresses are not the NIC's own.", way),
            t!(lang, "Let the adapter of {sender} send them; VMware: Forged transmits: Accept.", sender),
            "Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On".to_owned(),
        ],
        Frames::Full => vec![
            t!(lang, "Frames with {mtu} bytes of payload, a full MTU, do not pass {way}; smaller ones do.", mtu, way),
            t!(
                lang,
                "Something between the machines has a smaller MTU. nslab down on both, set a smaller one on both NICs, then up:"
            ),
            format!("sudo ip link set {} mtu 1400", escape(nic)),
        ],
    }
}
