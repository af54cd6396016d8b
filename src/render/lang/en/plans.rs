//! Sentences about plans: the comments of a script.

use crate::report::plan::{Place, Plan, Purpose, What};

pub(super) fn script(plan: &Plan) -> Vec<String> {
    let lab = &plan.lab;
    match plan.purpose {
        Purpose::Build => vec![
            format!("The lab {lab} by hand: what `nslab up {lab}` makes, as the commands of a student."),
            "Run it as root where no lab of that name is up. `ip -all netns delete` or a restart undoes it.".to_owned(),
        ],
        Purpose::BuildOnLxd => vec![
            format!(
                "The lab {lab} on hosts with LXD, as in class. Each host runs its own part, as root (--role HOST prints one)."
            ),
            "The networks between the hosts are the hypervisor's: an Internal Network of VirtualBox, where the adapters need"
                .to_owned(),
            "Promiscuous Mode: Allow All as soon as a bridge is on them.".to_owned(),
        ],
        Purpose::Preview => vec![format!("What `nslab up` would do to {lab} now.")],
        Purpose::ByHand => vec![format!("What was made by hand in {lab}.")],
    }
}

pub(super) fn place(place: &Place) -> String {
    match place {
        Place::Lab => "The whole lab".to_owned(),
        Place::Networks => "The networks between the hosts".to_owned(),
        Place::Host(host) => format!("{host} and its containers"),
    }
}

pub(super) fn step(what: What) -> &'static str {
    match what {
        What::Namespaces => "A network namespace per machine: its own interfaces, routes and neighbours.",
        What::Sysctls => "Whether it forwards packets, and how strictly it checks where they come from.",
        What::Bridges => "Bridges: a switch inside the kernel.",
        What::VethPairs => "Veth pairs: a cable with two ends, each in its machine.",
        What::Links => "Other interfaces.",
        What::LinkLocal => "No IPv6 link-local addresses by themselves: all that is there was described.",
        What::Macs => "MAC addresses that can be read: 02:HOST:CONTAINER:INTERFACE, in two bytes, two bytes and one.",
        What::Mtus => "How many bytes a frame may carry.",
        What::Stp => "The spanning tree protocol, where bridges form a loop.",
        What::Ports => "Plug the cables into the bridges.",
        What::Isolation => "Ports that get nothing but what is meant for them.",
        What::Fdb => "Forwarding table entries that do not age.",
        What::Addresses => "Addresses.",
        What::Up => "Switch the interfaces on.",
        What::Routes => "Routes: where packets for other networks go.",
        What::HostNamespaces => "Namespaces made inside the host.",
        What::Filters => "Packet filter tables: these lines print their rules, as `nft -f` takes them.",
        What::Forwarding => "The host is a router.",
        What::Instances => "Containers. The default profile puts their eth0 on lxdbr0.",
        What::Devices => {
            "Take them off lxdbr0: a device of the same name takes the place of the profile's.\n\
             (lxc profile device remove default eth0, before the launch, does it for all that come later.)"
        }
        What::HostEnds => "The host's ends of the point-to-point links.",
        What::InstanceAddresses => "Addresses of the containers.",
        What::InstanceRoutes => "Routes of the containers.",
        What::Remove => "Remove what is no longer wanted.",
    }
}

pub(super) fn nothing(plan: &Plan) -> String {
    match plan.purpose {
        Purpose::ByHand => format!("Nothing was made by hand in {}.", plan.lab),
        Purpose::Build | Purpose::BuildOnLxd | Purpose::Preview => format!("Nothing to do: {} is as described.", plan.lab),
    }
}
