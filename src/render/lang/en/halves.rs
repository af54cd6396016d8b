//! The halves of a lab on other machines, in words.

use crate::render::escape::escape;
use crate::report::half::{Answer, Discord, Frames, Halves, Way};

/// Who answers, and what is wrong between them and this machine.
pub(super) fn told(halves: &Halves) -> Vec<String> {
    let mut lines: Vec<String> = halves.partners().map(answer).collect();
    let silent = |host: &String| {
        format!("No machine answers for {host} yet: bring that half up there, with --role {host}, on the same internal network.")
    };
    lines.extend(halves.silent.iter().map(silent));
    lines.extend(halves.findings.iter().flat_map(finding));
    lines
}

fn answer(answer: &Answer) -> String {
    let Answer { host, hostname, mac, nic, .. } = answer;
    format!("{} is played by the machine {}, which answers on {} from {mac}.", escape(host), escape(hostname), escape(nic))
}

fn finding(finding: &Discord) -> Vec<String> {
    match finding {
        Discord::Role { lab, host, hostname, free } => {
            let (host, lab, hostname) = (escape(host), escape(lab), escape(hostname));
            let free = free.first().map_or_else(|| "HOST".to_owned(), |free| escape(free).into_owned());
            vec![
                format!("! The machine {hostname} plays {host}, too: every address and MAC address of it is there twice."),
                format!("  On one of the two: sudo nslab down {lab}, then up again with --role {free}"),
            ]
        }
        Discord::Lab { here, there, hostname, host } => {
            let (here, there) = (escape(here), escape(there));
            vec![
                format!("! The machine {} plays {} of a lab {there}, not of {here}.", escape(hostname), escape(host)),
                format!("  If it is to be one lab: nslab down there, then up with --name {here}; else use two networks."),
            ]
        }
        Discord::Mac { nic, mac, host } => vec![
            format!("! {} has the MAC address {mac}, as the NIC of {}'s machine has: a clone's.", escape(nic), escape(host)),
            "  Shut one of the machines down and give its adapter a new one; VirtualBox:".to_owned(),
            "  VBoxManage modifyvm VM --macaddress2 auto".to_owned(),
        ],
        Discord::File { lab, host } => vec![
            format!("! The machine of {} has {} up from another file, or another state of it.", escape(host), escape(lab)),
            "  Copy one file to both machines and bring it up on both.".to_owned(),
        ],
        Discord::Mtu { nic, here, there, host } => {
            let nic = escape(nic);
            vec![
                format!(
                    "! {nic} has an MTU of {here} bytes, the NIC of {}'s machine of {there}: large packets get lost.",
                    escape(host)
                ),
                "  nslab down on both, give both NICs the same, then up:".to_owned(),
                format!("  sudo ip link set {nic} mtu {}", here.min(there)),
            ]
        }
        Discord::Lost { frames, way, nic, host, mtu } => lost(*frames, *way, &escape(nic), &escape(host), *mtu),
        Discord::Version { host, here, there } => {
            let there = escape(there);
            vec![format!(
                "  The machine of {} has nslab {there}, this one {here}: whether the files differ is not known.",
                escape(host)
            )]
        }
        Discord::Machine { host } => vec![
            format!("  The machine of {} has the same machine-id as this one, as a clone has. On one of the two:", escape(host)),
            "  sudo rm /etc/machine-id && sudo systemd-machine-id-setup && sudo reboot".to_owned(),
        ],
        Discord::Hostname { hostname, host } => vec![
            format!("  The machine of {} is called {}, too. On one of the two:", escape(host), escape(hostname)),
            "  sudo hostnamectl set-hostname NAME".to_owned(),
        ],
        Discord::Clock { host, days } => {
            let days = if *days == 1 { "a day".to_owned() } else { format!("{days} days") };
            vec![format!("  The clock of {}'s machine is {days} or more away from this one's.", escape(host))]
        }
    }
}

fn lost(frames: Frames, way: Way, nic: &str, host: &str, mtu: u32) -> Vec<String> {
    let (to, of_sender, of_receiver) = match way {
        Way::In => (format!("from {host}'s machine to {nic}"), format!("the machine of {host}"), "this machine".to_owned()),
        Way::Out => (format!("from {nic} to {host}'s machine"), "this machine".to_owned(), format!("the machine of {host}")),
    };
    match frames {
        Frames::Plain => vec![
            format!("! Broadcasts pass {to}, frames for its own MAC address do not."),
            "  Something between the machines filters, or a third NIC there has that MAC address.".to_owned(),
        ],
        Frames::ToGuest => vec![
            format!("! Frames for containers do not pass {to}: their MAC addresses are not the NIC's own."),
            format!("  Let the adapter of {of_receiver} take them; VirtualBox:"),
            "  VBoxManage controlvm VM nicpromisc2 allow-all".to_owned(),
            "  VMware: Promiscuous mode: Accept. Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On".to_owned(),
        ],
        Frames::FromGuest => vec![
            format!("! Frames of containers do not pass {to}: their MAC addresses are not the NIC's own."),
            format!("  Let the adapter of {of_sender} send them; VMware: Forged transmits: Accept."),
            "  Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On".to_owned(),
        ],
        Frames::Full => vec![
            format!("! Frames with {mtu} bytes of payload, a full MTU, do not pass {to}; smaller ones do."),
            "  Something between the machines has a smaller MTU. nslab down on both, set a smaller one on both NICs, then up:"
                .to_owned(),
            format!("  sudo ip link set {nic} mtu 1400"),
        ],
    }
}
