//! What a check asks for, in words.

use super::check::nets;
use crate::render::lang::{Lang, and, t, w};
use crate::report::check::Report;
use crate::topology::checks::{
    Addresses, Bridged, Check, Destination, Machine, Members, Path, Plug, Reach, Router, Routes, Subnet,
};

/// What must hold.
pub fn asked(lang: Lang, report: &Report, check: &Check) -> String {
    match check {
        Check::Reach(Reach::All) => t!(lang, "all containers reach each other"),
        Check::Reach(Reach::Pairs(pairs)) => t!(lang, "{pairs} reach each other", pairs = pairs_of(lang, report, pairs)),
        Check::Unreachable(pairs) => t!(lang, "{pairs} do not reach each other", pairs = pairs_of(lang, report, pairs)),
        Check::Macs(macs) => {
            let network = &macs.network;
            match &macs.owners {
                Members::Containers => t!(lang, "{network} carries the containers' own MAC addresses alone", network),
                Members::Hosts => t!(lang, "{network} carries the hosts' MAC addresses alone", network),
                Members::These(these) => {
                    let nodes = list(lang, report, these);
                    t!(lang, "{network} carries the MAC addresses of {nodes} alone", network, nodes)
                }
            }
        }
        Check::Path(path) => way(lang, report, path),
        Check::RecordRoute(path) => t!(lang, "as ping -R records it, {way}", way = way(lang, report, path)),
        Check::Routes(routes) => route(lang, report, routes),
        Check::Addresses(addresses) => addresses_of(lang, report, addresses),
        Check::Forwarding(forwarding) => {
            let on = match forwarding.on.as_slice() {
                [] => None,
                [node] => Some(t!(lang, "{node} forwards packets", node = machine(report, node))),
                nodes => Some(t!(lang, "{nodes} forward packets", nodes = list(lang, report, nodes))),
            };
            let off = match forwarding.off.as_slice() {
                [] => None,
                [node] => Some(t!(lang, "{node} does not forward packets", node = machine(report, node))),
                nodes => Some(t!(lang, "{nodes} do not forward packets", nodes = list(lang, report, nodes))),
            };
            on.into_iter().chain(off).collect::<Vec<_>>().join(", ")
        }
        Check::Bridge(bridged) => bridge(lang, report, bridged),
        Check::Command(command) => {
            let (node, run) = (machine(report, &command.node), &command.run);
            match &command.output {
                Some(output) => t!(lang, "in {node}, {command} says {output}", node, command = run, output),
                None => t!(lang, "in {node}, {command} ends with {code}", node, command = run, code = command.exit),
            }
        }
        Check::Control(control) => {
            t!(lang, "{host} commands the containers of {other}", host = control.from, other = control.of)
        }
    }
}

fn machine(report: &Report, machine: &Machine) -> String {
    report.word(&machine.to_string())
}

fn list(lang: Lang, report: &Report, machines: &[Machine]) -> String {
    and(lang, &machines.iter().map(|one| machine(report, one)).collect::<Vec<_>>())
}

fn pairs_of(lang: Lang, report: &Report, pairs: &[(Machine, Machine)]) -> String {
    let pair = |(from, to): &(Machine, Machine)| and(lang, &[machine(report, from), machine(report, to)]);
    pairs.iter().map(pair).collect::<Vec<_>>().join("; ")
}

fn bridge(lang: Lang, report: &Report, bridged: &Bridged) -> String {
    let plug = |plug: &Plug| match plug {
        Plug::Nic(nic) => nic.to_string(),
        Plug::Container(name) => report.word(&format!("{}.{name}", bridged.host)),
    };
    let (host, ports) = (&bridged.host, and(lang, &bridged.ports.iter().map(plug).collect::<Vec<_>>()));
    let nic = bridged.ports.iter().any(|plug| matches!(plug, Plug::Nic(_)));
    match (&bridged.name, nic) {
        (Some(bridge), true) => t!(lang, "the bridge {bridge} of {host} joins {ports}", bridge, host, ports),
        (Some(bridge), false) => t!(lang, "the bridge {bridge} of {host} joins {ports}, and no NIC", bridge, host, ports),
        (None, true) => t!(lang, "a bridge of {host} joins {ports}", host, ports),
        (None, false) => t!(lang, "a bridge of {host} joins {ports}, and no NIC", host, ports),
    }
}

fn way(lang: Lang, report: &Report, path: &Path) -> String {
    let (from, to) = (machine(report, &path.from), machine(report, &path.to));
    match path.hops.as_slice() {
        [_] => t!(lang, "nobody routes on the way from {from} to {to}", from, to),
        [routers @ .., _] => {
            let then = format!(", {} ", w!(lang, "then"));
            let routers = routers.iter().map(|router| machine(report, router)).collect::<Vec<_>>().join(&then);
            t!(lang, "the way from {from} to {to} leads over {routers}", from, to, routers)
        }
        [] => String::new(),
    }
}

fn route(lang: Lang, report: &Report, wanted: &Routes) -> String {
    let node = machine(report, &wanted.node);
    let router = wanted.via.as_ref().map(|via| match via {
        Router::Node(router) => machine(report, router),
        Router::Address(address) => address.to_string(),
    });
    match (&wanted.to, router) {
        (Destination::Node(to), Some(router)) => {
            t!(lang, "{node} sends packets for {to} over {router}", node, to = machine(report, to), router)
        }
        (Destination::Node(to), None) => {
            t!(lang, "{node} sends packets for {to} without a router", node, to = machine(report, to))
        }
        (Destination::Prefix(to), Some(router)) if to.prefix_len() == 0 => {
            t!(lang, "{node} has a default route over {router}", node, router)
        }
        (Destination::Prefix(to), None) if to.prefix_len() == 0 => {
            t!(lang, "{node} has a default route without a router", node)
        }
        (Destination::Prefix(to), Some(router)) => t!(lang, "{node} has a route to {to} over {router}", node, to, router),
        (Destination::Prefix(to), None) => t!(lang, "{node} has a route to {to} without a router", node, to),
    }
}

fn addresses_of(lang: Lang, report: &Report, addresses: &Addresses) -> String {
    let (nodes, one) = match &addresses.of {
        Members::Containers => (w!(lang, "all containers").to_owned(), false),
        Members::Hosts => (w!(lang, "all hosts").to_owned(), false),
        Members::These(these) => (list(lang, report, these), these.len() == 1),
    };
    match (addresses.subnet, &addresses.network) {
        (Some(Subnet::Same), None) if one => t!(lang, "{node} is in one subnet", node = nodes),
        (Some(Subnet::Same), None) => t!(lang, "{nodes} are in one subnet", nodes),
        (Some(Subnet::Same), Some(network)) if one => t!(lang, "{node} is in one subnet on {network}", node = nodes, network),
        (Some(Subnet::Same), Some(network)) => t!(lang, "{nodes} are in one subnet on {network}", nodes, network),
        (Some(Subnet::Different), _) => t!(lang, "containers of different hosts are in different subnets"),
        (Some(Subnet::PointToPoint), _) if one => t!(lang, "{node} is on a point-to-point link with the host", node = nodes),
        (Some(Subnet::PointToPoint), _) => t!(lang, "{nodes} are on a point-to-point link with the host", nodes),
        (None, network) => {
            let are = nets(lang, &addresses.are);
            match network {
                None if one => t!(lang, "{node} has {addresses}", node = nodes, addresses = are),
                None => t!(lang, "{nodes} have {addresses}", nodes, addresses = are),
                Some(network) if one => t!(lang, "{node} has {addresses} on {network}", node = nodes, addresses = are, network),
                Some(network) => t!(lang, "{nodes} have {addresses} on {network}", nodes, addresses = are, network),
            }
        }
    }
}
