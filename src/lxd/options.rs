//! The options that LXD has for devices and for instances, and which of them mean something here.

use crate::error::DeviceFault;
use crate::topology::Keys;

/// How a NIC is attached: of each option, which attachments have it, in small where nslab does not do it.
///
/// As `lxd/device/nic_bridged.go`, `nic_p2p.go` and `nic_physical.go` of LXD 5.21 list them. What has no effect on a network counts as done.
const NIC: &[(&str, &str)] = &[
    ("boot.priority", "BCP"),
    ("gvrp", "p"),
    ("host_name", "BC"),
    ("hwaddr", "BCp"),
    ("ipv4.address", "B"),
    ("ipv4.routes", "bc"),
    ("ipv4.routes.external", "b"),
    ("ipv6.address", "B"),
    ("ipv6.routes", "bc"),
    ("ipv6.routes.external", "b"),
    ("limits.egress", "bc"),
    ("limits.ingress", "bc"),
    ("limits.max", "bc"),
    ("limits.priority", "bc"),
    ("maas.subnet.ipv4", "bp"),
    ("maas.subnet.ipv6", "bp"),
    ("mtu", "BCp"),
    ("name", "BCP"),
    ("network", "BP"),
    ("nictype", "BCP"),
    ("parent", "BP"),
    ("queue.tx.length", "BC"),
    ("security.ipv4_filtering", "b"),
    ("security.ipv6_filtering", "b"),
    ("security.mac_filtering", "b"),
    ("security.port_isolation", "b"),
    ("type", "BCP"),
    ("vlan", "bp"),
    ("vlan.tagged", "b"),
];

/// The attachments that LXD has and nslab has not.
pub const ELSEWHERE: &[&str] = &["ipvlan", "macvlan", "ovn", "routed", "sriov"];

/// The types of devices that LXD has beside `nic` and `none`.
pub const TYPES: &[&str] =
    &["disk", "gpu", "infiniband", "pci", "proxy", "tpm", "unix-block", "unix-char", "unix-hotplug", "usb"];

/// The options of a root disk; that it is there is all that there is to it.
const DISK: &[&str] = &["boot.priority", "initial.*", "limits.*", "path", "pool", "size", "size.state", "type"];

/// The keys of a container's configuration that are kept and shown, and change nothing in a network.
const KEPT: &[&str] = &[
    "boot.autostart",
    "boot.autostart.delay",
    "boot.autostart.priority",
    "boot.host_shutdown_action",
    "boot.host_shutdown_timeout",
    "boot.stop.priority",
    "cluster.evacuate",
    "image.*",
    "limits.cpu",
    "limits.cpu.allowance",
    "limits.cpu.nodes",
    "limits.cpu.priority",
    "limits.disk.priority",
    "limits.hugepages.*",
    "limits.kernel.*",
    "limits.memory",
    "limits.memory.enforce",
    "limits.memory.swap",
    "limits.memory.swap.priority",
    "limits.network.priority",
    "limits.processes",
    "linux.kernel_modules",
    "linux.kernel_modules.load",
    "migration.*",
    "nvidia.*",
    "raw.apparmor",
    "raw.idmap",
    "raw.seccomp",
    "security.devlxd",
    "security.devlxd.*",
    "security.guestapi",
    "security.guestapi.*",
    "security.idmap.*",
    "security.nesting",
    "security.privileged",
    "security.protection.*",
    "security.syscalls.*",
    "snapshots.expiry",
    "snapshots.pattern",
    "snapshots.schedule",
    "snapshots.schedule.stopped",
    "ubuntu_pro.guest_attach",
    "user.*",
    "volatile.*",
];

/// The keys that would change what is in a container, and do not.
const UNSERVED: &[&str] = &["cloud-init.*", "environment.*", "linux.sysctl.*", "raw.lxc"];

/// The keys of a bridge's configuration that are done, or kept and shown.
const NETWORK: &[&str] =
    &["bridge.external_interfaces", "bridge.mtu", "dns.*", "ipv4.*", "ipv6.*", "maas.subnet.*", "user.*", "volatile.*"];

/// The keys that would change what is on a bridge's wire, and do not.
const NETWORK_UNSERVED: &[&str] = &[
    "bgp.*",
    "bridge.driver",
    "bridge.hwaddr",
    "bridge.mode",
    "fan.*",
    "raw.dnsmasq",
    "security.acls",
    "security.acls.*",
    "tunnel.*",
];

fn is_in(list: &[&str], key: &str) -> bool {
    list.iter().any(|known| known.strip_suffix('*').map_or(key == *known, |stem| key.len() > stem.len() && key.starts_with(stem)))
}

/// Whether the value is the one that an option has where nothing is said.
fn is_nothing(value: &str) -> bool {
    ["", "none", "false", "0", "no", "off"].contains(&value.to_ascii_lowercase().as_str())
}

/// What of a NIC's options is wrong for its attachment: `B`ridged, `C`able, or `P`hysical.
///
/// # Errors
/// The first that LXD does not know; else the first that nslab does not do.
pub fn nic(device: &Keys, attachment: char) -> Result<(), DeviceFault> {
    let has = |key: &str, letter: char| NIC.iter().any(|(known, letters)| *known == key && letters.contains(letter));
    let small = attachment.to_ascii_lowercase();
    if let Some(key) = device.keys().find(|key| !has(key, attachment) && !has(key, small)) {
        return Err(DeviceFault::Unknown(key.clone()));
    }
    let unserved = device.iter().find(|(key, value)| has(key, small) && !is_nothing(value));
    unserved.map_or(Ok(()), |(key, value)| Err(DeviceFault::Unserved(format!("{key}={value}"))))
}

/// What is wrong in a device that is no NIC.
///
/// # Errors
/// A type that LXD does not have, one that nslab does not do, or the first option that LXD does not know.
pub fn other(device: &Keys) -> Result<(), DeviceFault> {
    let get = |key: &str| device.get(key).map(String::as_str).unwrap_or_default();
    let known: &[&str] = match get("type") {
        "none" => &["type"],
        "disk" if get("path") == "/" => DISK,
        kind if TYPES.contains(&kind) => return Err(DeviceFault::Unserved(format!("type={kind}"))),
        kind => return Err(DeviceFault::Type(kind.to_owned())),
    };
    device.keys().find(|key| !is_in(known, key)).map_or(Ok(()), |key| Err(DeviceFault::Unknown(key.clone())))
}

/// The key of a container's configuration that cannot be set, and whether LXD knows it.
pub fn wrong_key(config: &Keys) -> Option<(&str, bool)> {
    wrong(config, KEPT, UNSERVED)
}

/// The key of a bridge's configuration that cannot be set, and whether LXD knows it.
pub fn wrong_network_key(config: &Keys) -> Option<(&str, bool)> {
    wrong(config, NETWORK, NETWORK_UNSERVED)
}

fn wrong<'a>(config: &'a Keys, kept: &[&str], unserved: &[&str]) -> Option<(&'a str, bool)> {
    let unknown = config.keys().find(|key| !is_in(kept, key) && !is_in(unserved, key)).map(|key| (key.as_str(), false));
    unknown.or_else(|| {
        config.iter().find(|(key, value)| is_in(unserved, key) && !value.is_empty()).map(|(key, _)| (key.as_str(), true))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Keys {
        text.split(' ').map(|word| word.split_once('=').unwrap()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn an_option_is_judged_by_how_the_nic_is_attached() {
        let unknown = |key: &str| Err(DeviceFault::Unknown(key.to_owned()));
        let unserved = |word: &str| Err(DeviceFault::Unserved(word.to_owned()));
        let common = "type=nic name=eth1 hwaddr=02:00:00:00:00:01 mtu=1400 boot.priority=1";
        assert_eq!(nic(&keys(&format!("{common} nictype=bridged parent=br0 host_name=v1 ipv4.address=10.0.0.9")), 'B'), Ok(()));
        assert_eq!(nic(&keys(&format!("{common} nictype=p2p")), 'C'), Ok(()));
        assert_eq!(nic(&keys("type=nic nictype=p2p parent=br0"), 'C'), unknown("parent"));
        assert_eq!(nic(&keys("type=nic nictype=physical parent=x host_name=v1"), 'P'), unknown("host_name"));
        assert_eq!(nic(&keys("type=nic nictype=physical parent=x mtu=1400"), 'P'), unserved("mtu=1400"));
        assert_eq!(nic(&keys("type=nic nictype=bridged parent=br0 vlan=77 bogus.key=1"), 'B'), unknown("bogus.key"));
        assert_eq!(nic(&keys("type=nic nictype=bridged parent=br0 vlan=77"), 'B'), unserved("vlan=77"));
        assert_eq!(nic(&keys("type=nic nictype=bridged parent=br0 security.mac_filtering=false vlan=none"), 'B'), Ok(()));
    }

    #[test]
    fn other_devices_and_keys_are_known_unserved_or_kept() {
        assert_eq!(other(&keys("type=none")), Ok(()));
        assert_eq!(other(&keys("type=disk path=/ pool=default size=10GiB")), Ok(()));
        assert_eq!(other(&keys("type=disk path=/ colour=red")), Err(DeviceFault::Unknown("colour".to_owned())));
        assert_eq!(
            other(&keys("type=proxy listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80")),
            Err(DeviceFault::Unserved("type=proxy".to_owned()))
        );
        assert_eq!(other(&keys("type=wheel")), Err(DeviceFault::Type("wheel".to_owned())));
        assert_eq!(wrong_key(&keys("limits.memory=1GiB security.nesting=true user.any=thing volatile.x=1")), None);
        assert_eq!(wrong_key(&keys("limits.memory=1GiB security.nestign=true")), Some(("security.nestign", false)));
        assert_eq!(wrong_key(&keys("linux.sysctl.net.ipv4.ip_forward=1")), Some(("linux.sysctl.net.ipv4.ip_forward", true)));
    }
}
