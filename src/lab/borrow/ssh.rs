//! The SSH session that nslab was started from.

use std::net::IpAddr;

use super::failed;
use crate::error::Result;
use crate::kernel::nic::{Nic, way};
use crate::kernel::socket::Netlink;
use crate::name::IfName;

/// The client's and the server's address, of this process or of one that it descends from: `sudo` drops the variable.
pub fn ends() -> Option<(IpAddr, Option<IpAddr>)> {
    let mut pid = "self".to_owned();
    for _ in 0..64 {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if let Some(ends) = environment.split(|byte| *byte == 0).find_map(|line| parse(&String::from_utf8_lossy(line))) {
            return Some(ends);
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc_pid_stat(5): the parent is field 4, the second behind the name.
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.to_owned();
        if parent == "0" {
            return None;
        }
        pid = parent;
    }
    None
}

/// `SSH_CONNECTION` is client, port, server, port; `SSH_CLIENT` is client, port, server's port (`ssh(1)`).
fn parse(line: &str) -> Option<(IpAddr, Option<IpAddr>)> {
    let (name, value) = line.split_once('=')?;
    let mut words = value.split(' ');
    let address = |word: &str| word.split('%').next().unwrap_or_default().parse::<IpAddr>().ok();
    let client = address(words.next()?)?;
    match name {
        "SSH_CONNECTION" => Some((client, words.nth(1).and_then(address))),
        "SSH_CLIENT" => Some((client, None)),
        _ => None,
    }
}

/// The NIC by which the session comes in, or its answers go out, and the client.
pub fn comes_in(socket: &mut Netlink, nics: &[Nic]) -> Result<Option<(IfName, IpAddr)>> {
    let Some((client, server)) = ends() else { return Ok(None) };
    let way = way::to(socket, client).map_err(|errno| failed("ip route get", errno))?;
    let here =
        |nic: &&Nic| Some(nic.index) == way || nic.addresses.iter().any(|own| own.address().is_some() && own.address() == server);
    Ok(nics.iter().find(here).map(|nic| (nic.name.clone(), client)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_variables() {
        let client: IpAddr = "10.0.2.2".parse().unwrap();
        assert_eq!(parse("SSH_CONNECTION=10.0.2.2 4711 10.0.2.15 22"), Some((client, "10.0.2.15".parse().ok())));
        assert_eq!(parse("SSH_CLIENT=10.0.2.2 4711 22"), Some((client, None)));
        assert_eq!(parse("SSH_CONNECTION=fe80::1%eth0 1 fe80::2%eth0 22").map(|ends| ends.0), "fe80::1".parse().ok());
        assert_eq!(parse("SSH_CONNECTION=UNKNOWN"), None);
        assert_eq!(parse("HOME=/root"), None);
    }
}
