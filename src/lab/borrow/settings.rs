//! Settings of the machine that a lab changes, or that the kernel changes along with them.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Use;

/// A setting and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its path under `/proc/sys/net`.
    pub path: String,
    /// Its value.
    pub value: String,
}

const ROOT: &str = "/proc/sys/net";

/// What forwarding changes of every interface (`inet_forward_change` of `net/ipv4/devinet.c`, `dev_forward_change` of
/// `net/ipv6/addrconf.c`), and what labs set besides.
const OF_ALL: [(&str, &str); 5] =
    [("ipv4", "forwarding"), ("ipv4", "accept_redirects"), ("ipv4", "rp_filter"), ("ipv6", "forwarding"), ("ipv6", "accept_ra")];

/// What is set of a borrowed NIC alone.
const OF_NIC: [(&str, &str); 3] = [("ipv6", "disable_ipv6"), ("ipv6", "addr_gen_mode"), ("ipv6", "accept_dad")];

/// The settings as they are, the ones of all interfaces first: they overwrite the others.
pub fn read(uses: &[Use]) -> Vec<Setting> {
    let mut paths = Vec::new();
    for (family, name) in OF_ALL {
        let mut devices: Vec<String> = fs::read_dir(format!("{ROOT}/{family}/conf"))
            .map(|all| all.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
            .unwrap_or_default();
        devices.sort_by_key(|device| (device != "all", device.clone()));
        paths.extend(devices.iter().map(|device| format!("{family}/conf/{device}/{name}")));
    }
    for (family, name) in OF_NIC {
        paths.extend(uses.iter().map(|used| format!("{family}/conf/{}/{name}", used.nic)));
    }
    paths.into_iter().filter_map(|path| Some(Setting { value: get(&path)?, path })).collect()
}

/// Each setting as it was first.
pub fn first(earlier: &[Setting], now: &[Setting]) -> Vec<Setting> {
    let known = |setting: &&Setting| earlier.iter().any(|other| other.path == setting.path);
    earlier.iter().chain(now.iter().filter(|setting| !known(setting))).cloned().collect()
}

/// A setting's value; none where the machine has no such setting.
pub fn get(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(ROOT).join(path)).ok().map(|text| text.trim().to_owned())
}

/// Sets it.
pub fn set(path: &str, value: &str) -> std::io::Result<()> {
    fs::write(Path::new(ROOT).join(path), value)
}

/// Interfaces that learn their IPv6 routes from routers go on doing so while the machine forwards
/// (`Documentation/networking/ip-sysctl.rst`, `accept_ra`).
pub fn keep_learning() {
    let Ok(all) = fs::read_dir(format!("{ROOT}/ipv6/conf")) else { return };
    for device in all.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let path = format!("ipv6/conf/{device}/accept_ra");
        let learns = get(&path).as_deref() == Some("1") && get(&format!("ipv6/conf/{device}/forwarding")).as_deref() == Some("0");
        if learns && !["all", "default", "lo"].contains(&device.as_str()) {
            let _ = set(&path, "2");
        }
    }
}
