//! The commands that make a lab on hosts with LXD, as in class: `ip` on the host, `lxc` for its containers.

use ipnet::IpNet;

use crate::plan::quoted;
use crate::plan::steps::{Place, Step, What};
use crate::topology::{Attach, Container, Hop, Host, HostEnd, Nic, Route, Topology};

/// The steps for every host, or for the one of that name; `image` is what the containers are launched from.
pub fn by_host(topology: &Topology, only: Option<&str>, image: &str) -> Vec<Step> {
    let hosts = topology.hosts.iter().filter(|host| only.is_none_or(|only| host.name.as_str() == only));
    hosts.flat_map(|host| steps(host, image)).collect()
}

/// LXD's names have no underscore.
fn name(container: &Container) -> String {
    container.name.as_str().replace('_', "-")
}

/// One host's part of the lab, in an order that works; what there is nothing of is left out.
fn steps(host: &Host, image: &str) -> Vec<Step> {
    let each = |commands: &dyn Fn(&Container) -> Vec<String>| host.containers.iter().flat_map(commands).collect::<Vec<String>>();
    let all = [
        (What::Bridges, bridges(host)),
        (What::Ports, ports(host)),
        (What::Addresses, own_addresses(host)),
        (What::Up, up(host)),
        (What::Forwarding, forwarding(host)),
        (What::Instances, each(&|container| vec![format!("lxc launch {} {}", quoted(image), name(container))])),
        (What::Devices, each(&devices)),
        (What::HostEnds, each(&host_ends)),
        (What::InstanceAddresses, each(&addresses)),
        (What::InstanceRoutes, each(&routes)),
        (What::Routes, lines("", &host.gateways, &host.routes)),
    ];
    let place = Place::Host(host.name.to_string());
    let some = all.into_iter().filter(|(_, commands)| !commands.is_empty());
    some.map(|(what, commands)| Step { place: place.clone(), what, commands }).collect()
}

fn bridges(host: &Host) -> Vec<String> {
    let mut commands = Vec::new();
    for bridge in &host.bridges {
        let stp = if bridge.stp { " stp_state 1" } else { "" };
        commands.push(format!("ip link add {} type bridge{stp}", bridge.name));
        commands.extend(bridge.mac.map(|mac| format!("ip link set {} address {mac}", bridge.name)));
    }
    commands
}

fn ports(host: &Host) -> Vec<String> {
    let port = |(bridge, port)| format!("ip link set {port} master {bridge}");
    host.bridges.iter().flat_map(|bridge| bridge.ports.iter().map(|port| (&bridge.name, port))).map(port).collect()
}

fn own_addresses(host: &Host) -> Vec<String> {
    let nics = host.nics.iter().map(|nic| (&nic.name, &nic.addresses));
    let bridges = host.bridges.iter().map(|bridge| (&bridge.name, &bridge.addresses));
    nics.chain(bridges).flat_map(|(dev, addresses)| add_addresses("", dev, addresses)).collect()
}

fn up(host: &Host) -> Vec<String> {
    let nics = host.nics.iter().filter(|nic| nic.up);
    let mtu = nics.clone().filter_map(|nic| Some(format!("ip link set {} mtu {}", nic.name, nic.mtu?)));
    let bridges = host.bridges.iter().filter(|bridge| bridge.up).map(|bridge| &bridge.name);
    mtu.chain(nics.map(|nic| &nic.name).chain(bridges).map(|dev| format!("ip link set {dev} up"))).collect()
}

fn forwarding(host: &Host) -> Vec<String> {
    let mut families = vec!["net.ipv4.ip_forward=1"];
    let on_containers = host.containers.iter().flat_map(|container| &container.nics).flat_map(|nic| &nic.addresses);
    if on_containers.chain(host.nics.iter().flat_map(|nic| &nic.addresses)).any(|net| net.addr().is_ipv6()) {
        families.push("net.ipv6.conf.all.forwarding=1");
    }
    let families = families.into_iter().filter(|_| host.forwarding);
    families.map(|setting| format!("sysctl -w {setting}")).collect()
}

/// The host's end of each NIC.
fn ends(container: &Container) -> impl Iterator<Item = (&Nic, &HostEnd)> {
    container.nics.iter().filter_map(|nic| match &nic.attach {
        Attach::Host(end) => Some((nic, end)),
        Attach::Network(_) => None,
    })
}

/// A device takes the place of the one of the same name that the default profile gives.
fn devices(container: &Container) -> Vec<String> {
    let instance = name(container);
    let mut commands: Vec<String> = ends(container)
        .map(|(nic, end)| {
            let kind = match &end.bridge {
                Some(bridge) => format!("nictype=bridged parent={bridge}"),
                None => format!("nictype=p2p host_name={}", end.name),
            };
            let mac = nic.mac.map(|mac| format!(" hwaddr={mac}")).unwrap_or_default();
            let mtu = nic.mtu.map(|mtu| format!(" mtu={mtu}")).unwrap_or_default();
            format!("lxc config device add {instance} {0} nic name={0} {kind}{mac}{mtu}", nic.name)
        })
        .collect();
    if !container.nics.iter().any(|nic| nic.name.as_str() == "eth0") {
        commands.push(format!("lxc config device add {instance} eth0 none"));
    }
    commands
}

/// Of a point-to-point link the host configures its own end.
fn host_ends(container: &Container) -> Vec<String> {
    let own = ends(container).filter(|(_, end)| end.bridge.is_none());
    own.flat_map(|(_, end)| {
        let mut commands = add_addresses("", &end.name, &end.addresses);
        commands.push(format!("ip link set {} up", end.name));
        commands
    })
    .collect()
}

fn inside(container: &Container) -> String {
    format!("lxc exec {} -- ", name(container))
}

fn addresses(container: &Container) -> Vec<String> {
    let within = inside(container);
    let nics = container.nics.iter();
    nics.flat_map(|nic| {
        let mut commands = add_addresses(&within, &nic.name, &nic.addresses);
        commands.extend(nic.up.then(|| format!("{within}ip link set {} up", nic.name)));
        commands
    })
    .collect()
}

fn routes(container: &Container) -> Vec<String> {
    let within = inside(container);
    let mut commands = lines(&within, &container.gateways, &container.routes);
    if container.forwarding {
        commands.push(format!("{within}sysctl -w net.ipv4.ip_forward=1"));
    }
    commands
}

fn add_addresses(within: &str, dev: &crate::name::IfName, addresses: &[IpNet]) -> Vec<String> {
    addresses.iter().map(|address| format!("{within}ip addr add {address} dev {dev}")).collect()
}

fn lines(within: &str, gateways: &[std::net::IpAddr], routes: &[Route]) -> Vec<String> {
    let family = |v6: bool| if v6 { "ip -6" } else { "ip" };
    let route = |route: &Route| {
        let (kind, hop) = match &route.hop {
            Hop::Via(via) => ("", format!(" via {via}")),
            Hop::Dev(dev) => ("", format!(" dev {dev}")),
            Hop::Blackhole => ("blackhole ", String::new()),
        };
        format!("{within}{} route add {kind}{}{hop}", family(route.to.addr().is_ipv6()), route.to)
    };
    let default = |via: &std::net::IpAddr| format!("{within}{} route add default via {via}", family(via.is_ipv6()));
    routes.iter().map(route).chain(gateways.iter().map(default)).collect()
}
