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
    /// The interfaces that it was told to configure, or is seen to.
    has: Vec<String>,
    /// Those that it may take, since nobody told it which.
    may: Vec<String>,
}

/// Where dhcpcd is told which interfaces to leave alone.
const DHCPCD: &str = "/etc/dhcpcd.conf";

/// The DHCP clients in the network namespace of the caller; `interfaces` are those that there are.
pub fn clients(interfaces: &[&str]) -> Vec<Client> {
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let own = network("self");
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = numbers.filter_map(|entry| {
        let pid = entry.file_name().into_string().ok()?;
        let number = pid.parse().ok()?;
        let service = service(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim())?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        (network(&pid) == own).then(|| (service, number, String::from_utf8_lossy(&line).into_owned()))
    });
    identify(found.collect(), interfaces, &fs::read_to_string(DHCPCD).unwrap_or_default())
}

fn service(command: &str) -> Option<Service> {
    [Service::Dhcpcd, Service::Dhclient, Service::Udhcpc].into_iter().find(|service| service.name() == command)
}

/// The clients among the processes, which are known by their command lines; `settings` are dhcpcd's.
fn identify(processes: Vec<(Service, i32, String)>, interfaces: &[&str], settings: &str) -> Vec<Client> {
    let (helpers, processes): (Vec<_>, Vec<_>) = processes.into_iter().partition(|(_, _, line)| helps(line));
    let served: Vec<String> = helpers.iter().flat_map(|(service, _, line)| named(*service, line, interfaces)).collect();
    let client = |(service, pid, line): (Service, i32, String)| {
        let has = named(service, &line, interfaces);
        if !has.is_empty() {
            return Client { service, pid, has, may: Vec::new() };
        }
        let manager = service == Service::Dhcpcd;
        let may = interfaces.iter().filter(|name| !(manager && leaves_alone(settings, name)));
        let may = may.map(|name| (*name).to_owned()).collect();
        if manager {
            Client { service: Service::DhcpcdManager, pid, has: served.clone(), may }
        } else {
            Client { service, pid, has, may }
        }
    };
    processes.into_iter().map(client).collect()
}

/// Whether that is the title of one of dhcpcd's helpers: one that reads packets of an interface, or a proxy.
fn helps(line: &str) -> bool {
    line.starts_with("dhcpcd: [") && !line.starts_with("dhcpcd: [manager]") && !line.starts_with("dhcpcd: [master]")
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

/// Whether dhcpcd's settings keep its manager from an interface (`dhcpcd.conf(5)`).
fn leaves_alone(settings: &str, interface: &str) -> bool {
    // What follows one of these words is for one interface or network alone, and says nothing of others.
    let lines = settings.lines().map(|line| line.split([' ', '\t', ',']).filter(|word| !word.is_empty()));
    let all = lines.take_while(|line| !matches!(line.clone().next(), Some("interface" | "ssid" | "profile")));
    let (mut denied, mut allowed) = (false, None);
    for mut line in all {
        let word = line.next();
        let mut hit = || line.any(|pattern| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(interface)));
        match word {
            Some("denyinterfaces") => denied |= hit(),
            Some("allowinterfaces") => allowed = Some(allowed.unwrap_or(false) | hit()),
            _ => {}
        }
    }
    denied || allowed == Some(false)
}

/// Everybody who configures an interface, those first who do for sure; each service once. `software` is whether nslab makes the interface.
pub fn for_interface(interface: &str, index: u32, software: bool, clients: &[Client]) -> Vec<Manager> {
    let has = |names: &[String]| names.iter().any(|name| name == interface);
    let mut found: Vec<Manager> =
        recorded_service(index, software).map(|service| Manager { certain: true, service, pid: None }).into_iter().collect();
    found.extend(clients.iter().filter_map(|client| {
        let certain = has(&client.has);
        (certain || has(&client.may)).then_some(Manager { certain, service: client.service, pid: Some(client.pid) })
    }));
    // Of dhclient's two processes the older waits for the younger, and ends with it; not the other way round.
    found.sort_by_key(|manager| (!manager.certain, manager.service, manager.pid.map(std::cmp::Reverse)));
    let mut seen = Vec::new();
    found.retain(|manager| {
        let name = manager.service.name();
        !seen.contains(&name) && {
            seen.push(name);
            true
        }
    });
    found
}

/// The service that says in `/run` that it configures the interface.
fn recorded_service(index: u32, software: bool) -> Option<Service> {
    let says = |path: &str, lines: &[&str]| {
        let text = fs::read_to_string(Path::new(path).join(index.to_string())).unwrap_or_default();
        text.lines().any(|line| lines.contains(&line.trim()))
    };
    if says("/run/systemd/netif/links", &["ADMIN_STATE=configured", "ADMIN_STATE=configuring"]) {
        return Some(Service::Networkd);
    }
    // An interface of software that others made it calls managed, and leaves as it is: "connected (externally)".
    let managed = if software { "nm-owned=true" } else { "managed=true" };
    says("/run/NetworkManager/devices", &[managed]).then_some(Service::NetworkManager)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERFACES: [&str; 3] = ["lo", "eth0", "enp0s8"];

    #[test]
    fn a_client_is_of_the_interfaces_that_its_command_line_names() {
        let interfaces = |service, line: &str| named(service, line, &INTERFACES);
        assert_eq!(interfaces(Service::Dhclient, "dhclient\0-4\0-v\0-pf\0/run/dhclient.enp0s8.pid\0enp0s8\0"), ["enp0s8"]);
        assert_eq!(interfaces(Service::Dhcpcd, "dhcpcd: enp0s8 [ip4]"), ["enp0s8"]);
        assert_eq!(interfaces(Service::Dhcpcd, "dhcpcd: [manager] [ip4] [ip6]"), [""; 0]);
        assert_eq!(interfaces(Service::Dhcpcd, "/sbin/dhcpcd\0-q\0-b\0"), [""; 0]);
        assert_eq!(interfaces(Service::Udhcpc, "udhcpc\0-i\0enp0s8\0"), ["enp0s8"]);
        assert_eq!(interfaces(Service::Udhcpc, "udhcpc\0-ienp0s8\0"), ["enp0s8"]);
        assert_eq!(interfaces(Service::Udhcpc, "udhcpc\0-b\0"), ["eth0"]);
    }

    fn managers(interface: &str, settings: &str, processes: &[(Service, i32, &str)]) -> Vec<(bool, Service, Option<i32>)> {
        let processes = processes.iter().map(|(service, pid, line)| (*service, *pid, (*line).to_owned())).collect();
        let found = for_interface(interface, 0, false, &identify(processes, &INTERFACES, settings));
        found.into_iter().map(|manager| (manager.certain, manager.service, manager.pid)).collect()
    }

    #[test]
    fn one_that_names_no_interface_may_take_any_and_one_that_names_another_does_not() {
        let found = |count: usize| {
            let all = [(7, "dhclient\0eth0\0"), (4, "dhclient\0"), (9, "dhclient\0enp0s8\0"), (8, "dhclient\0enp0s8\0")];
            managers("enp0s8", "", &all[..count].iter().map(|(pid, line)| (Service::Dhclient, *pid, *line)).collect::<Vec<_>>())
        };
        assert_eq!(found(1), []);
        assert_eq!(found(2), [(false, Service::Dhclient, Some(4))]);
        assert_eq!(found(3), [(true, Service::Dhclient, Some(9))]);
        assert_eq!(found(4), [(true, Service::Dhclient, Some(9))], "the younger of the two");
    }

    #[test]
    fn the_manager_of_dhcpcd_has_the_interfaces_that_its_helpers_name() {
        // The titles of dhcpcd 9.4 and 10.1.
        let manager = (Service::Dhcpcd, 24, "dhcpcd: [manager] [ip4] [ip6]");
        let proxy = (Service::Dhcpcd, 25, "dhcpcd: [privileged proxy]");
        let helper = (Service::Dhcpcd, 32, "dhcpcd: [BPF BOOTP] enp0s8");
        let one = (Service::Dhcpcd, 20, "dhcpcd: enp0s8 [ip4] [ip6]");
        let found = |processes: &[(Service, i32, &'static str)]| managers("enp0s8", "", processes);
        assert_eq!(found(&[proxy, manager]), [(false, Service::DhcpcdManager, Some(24))]);
        assert_eq!(found(&[proxy, helper, manager]), [(true, Service::DhcpcdManager, Some(24))]);
        assert_eq!(found(&[proxy, helper, one]), [(true, Service::Dhcpcd, Some(20))]);
        assert_eq!(managers("eth0", "", &[proxy, helper, one]), []);
    }

    #[test]
    fn the_manager_of_dhcpcd_is_no_matter_where_its_settings_keep_it_away() {
        let count = |settings: &str| managers("enp0s8", settings, &[(Service::Dhcpcd, 24, "/sbin/dhcpcd\0-b\0")]).len();
        for settings in ["", "#denyinterfaces enp0s8", "denyinterfaces enp0s9 veth*", "interface eth0\n denyinterfaces enp0s8"] {
            assert_eq!(count(settings), 1, "{settings}");
        }
        for settings in [
            "denyinterfaces enp0s8",
            "persistent\n\tdenyinterfaces  eth1,enp*",
            "allowinterfaces eth0\n",
            "allowinterfaces e*\ndenyinterfaces enp0s[0-9]",
        ] {
            assert_eq!(count(settings), 0, "{settings}");
        }
        assert_eq!(count("allowinterfaces eth0\nallowinterfaces enp0s8"), 1);
        let helper = (Service::Dhcpcd, 32, "dhcpcd: [BPF BOOTP] enp0s8");
        let found = managers("enp0s8", "denyinterfaces enp0s8", &[helper, (Service::Dhcpcd, 24, "dhcpcd: [manager]")]);
        assert_eq!(found, [(true, Service::DhcpcdManager, Some(24))], "it was not restarted since");
    }
}
