//! Plans: the comments of a script.

use crate::plan::steps::{Place, What};
use crate::render::lang::{Lang, t, w};

/// Where commands work.
pub fn place(lang: Lang, place: &Place) -> String {
    match place {
        Place::Lab => t!(lang, "The whole lab"),
        Place::Networks => t!(lang, "The networks between the hosts"),
        Place::Host(host) => t!(lang, "{host} and its containers", host),
    }
}

/// What commands do.
pub fn step(lang: Lang, what: What) -> &'static str {
    match what {
        What::Namespaces => w!(lang, "A network namespace per machine: its own interfaces, routes and neighbours."),
        What::Sysctls => w!(lang, "Whether it forwards packets, and how strictly it checks where they come from."),
        What::Bridges => w!(lang, "Bridges: a switch inside the kernel."),
        What::VethPairs => w!(lang, "Veth pairs: a cable with two ends, each in its machine."),
        What::Links => w!(lang, "Other interfaces."),
        What::LinkLocal => w!(lang, "No IPv6 link-local addresses by themselves: all that is there was described."),
        What::Macs => w!(lang, "MAC addresses that can be read: 02:HOST:CONTAINER:INTERFACE, in two bytes, two bytes and one."),
        What::Mtus => w!(lang, "How many bytes a frame may carry."),
        What::Stp => w!(lang, "The spanning tree protocol, where bridges form a loop."),
        What::Ports => w!(lang, "Plug the cables into the bridges."),
        What::Isolation => w!(lang, "Ports that get nothing but what is meant for them."),
        What::Fdb => w!(lang, "Forwarding table entries that do not age."),
        What::Addresses => w!(lang, "Addresses."),
        What::Up => w!(lang, "Switch the interfaces on."),
        What::Routes => w!(lang, "Routes: where packets for other networks go."),
        What::HostNamespaces => w!(lang, "Namespaces made inside the host."),
        What::Filters => w!(lang, "Packet filter tables: these lines print their rules, as `nft -f` takes them."),
        What::Forwarding => w!(lang, "The host is a router."),
        What::Instances => w!(lang, "Containers. The default profile puts their eth0 on lxdbr0."),
        What::Devices => w!(
            lang,
            "Take them off lxdbr0: a device of the same name takes the place of the profile's.\n\
             (lxc profile device remove default eth0, before the launch, does it for all that come later.)"
        ),
        What::HostEnds => w!(lang, "The host's ends of the point-to-point links."),
        What::InstanceAddresses => w!(lang, "Addresses of the containers."),
        What::InstanceRoutes => w!(lang, "Routes of the containers."),
        What::Remove => w!(lang, "Remove what is no longer wanted."),
    }
}
