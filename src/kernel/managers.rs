//! Who else configures an interface of the machine: as services say in `/run`, and DHCP clients by their command lines.

use std::fs;
use std::path::Path;

use crate::error::Service;

/// Whoever configures an interface, or may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// Without a doubt: the interface is named.
    pub certain: bool,
    /// The service.
    pub service: Service,
    /// The process of a DHCP client.
    pub pid: Option<i32>,
}

/// A DHCP client that runs in this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    service: Service,
    pid: i32,
    /// The interfaces that its command line names; none where it takes any.
    interfaces: Vec<String>,
}

/// The DHCP clients in the network namespace of the caller; `interfaces` are those that there are.
pub fn clients(interfaces: &[&str]) -> Vec<Client> {
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let own = network("self");
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<Client> = numbers
        .filter_map(|entry| {
            let pid = entry.file_name().into_string().ok()?;
            let number = pid.parse().ok()?;
            let service = service(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim())?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let interfaces = named(service, &String::from_utf8_lossy(&line), interfaces);
            (network(&pid) == own).then_some(Client { service, pid: number, interfaces })
        })
        .collect();
    found.sort_by_key(|client| client.pid);
    found
}

fn service(command: &str) -> Option<Service> {
    [Service::Dhcpcd, Service::Dhclient, Service::Udhcpc].into_iter().find(|service| service.name() == command)
}

/// The interfaces that a command line names, its words apart by NULs or, as dhcpcd writes it, by spaces.
fn named(service: Service, line: &str, interfaces: &[&str]) -> Vec<String> {
    let words = line.split(['\0', ' ']).map(|word| word.trim_end_matches(':'));
    let named = |word: &str| interfaces.iter().find(|name| **name == word || word.strip_prefix("-i") == Some(**name));
    let mut found: Vec<String> = words.filter_map(|word| named(word).map(|name| (*name).to_owned())).collect();
    if found.is_empty() && service == Service::Udhcpc {
        // What it takes by itself.
        found.push("eth0".to_owned());
    }
    found
}

/// Everybody who configures an interface, those first who do for sure; each service once.
pub fn of(interface: &str, index: u32, clients: &[Client]) -> Vec<Manager> {
    let mut found = Vec::new();
    found.extend(told(index).map(|service| Manager { certain: true, service, pid: None }));
    for client in clients {
        let certain = client.interfaces.iter().any(|name| name == interface);
        if certain || client.interfaces.is_empty() {
            found.push(Manager { certain, service: client.service, pid: Some(client.pid) });
        }
    }
    found.sort_by_key(|manager| (!manager.certain, manager.service, manager.pid));
    let mut seen = Vec::new();
    found.retain(|manager| {
        !seen.contains(&manager.service) && {
            seen.push(manager.service);
            true
        }
    });
    found
}

/// The service that says in `/run` that it configures the interface.
fn told(index: u32) -> Option<Service> {
    let says = |path: &str, lines: &[&str]| {
        let text = fs::read_to_string(Path::new(path).join(index.to_string())).unwrap_or_default();
        text.lines().any(|line| lines.contains(&line.trim()))
    };
    if says("/run/systemd/netif/links", &["ADMIN_STATE=configured", "ADMIN_STATE=configuring"]) {
        return Some(Service::Networkd);
    }
    says("/run/NetworkManager/devices", &["managed=true"]).then_some(Service::NetworkManager)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERFACES: [&str; 3] = ["lo", "eth0", "enp0s8"];

    #[test]
    fn a_client_is_of_the_interfaces_that_its_command_line_names() {
        let of = |service, line: &str| named(service, line, &INTERFACES);
        assert_eq!(of(Service::Dhclient, "dhclient\0-4\0-v\0-pf\0/run/dhclient.enp0s8.pid\0enp0s8\0"), ["enp0s8"]);
        assert_eq!(of(Service::Dhcpcd, "dhcpcd: enp0s8 [ip4]"), ["enp0s8"]);
        assert_eq!(of(Service::Dhcpcd, "dhcpcd: [manager] [ip4] [ip6]"), [""; 0]);
        assert_eq!(of(Service::Dhcpcd, "/sbin/dhcpcd\0-q\0-b\0"), [""; 0]);
        assert_eq!(of(Service::Udhcpc, "udhcpc\0-i\0enp0s8\0"), ["enp0s8"]);
        assert_eq!(of(Service::Udhcpc, "udhcpc\0-ienp0s8\0"), ["enp0s8"]);
        assert_eq!(of(Service::Udhcpc, "udhcpc\0-b\0"), ["eth0"]);
    }

    #[test]
    fn one_that_names_no_interface_may_take_any_and_one_that_names_another_does_not() {
        let client = |pid, names: &[&str]| Client {
            service: Service::Dhcpcd,
            pid,
            interfaces: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let sure = |found: Vec<Manager>| found.first().map(|manager| (manager.certain, manager.pid, found.len()));
        let all = [client(4, &[]), client(7, &["eth0"]), client(9, &["enp0s8"])];
        assert_eq!(sure(of("enp0s8", 0, &all)), Some((true, Some(9), 1)));
        assert_eq!(sure(of("enp0s8", 0, &all[..2])), Some((false, Some(4), 1)));
        assert_eq!(sure(of("enp0s8", 0, &all[1..2])), None);
    }
}
