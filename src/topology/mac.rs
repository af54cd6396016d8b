//! MAC addresses that can be read: who has which follows from the numbers of host, container and interface.
//!
//! `02:HH:HH:CC:CC:II` is a node's own NIC (container 0 is the host itself), `06:` and the same bytes the host's end of
//! that veth pair, `0a:HH:HH:00:00:BB` a host's bridge, `0e:HH:HH:00:00:II` the switch port that a host's NIC is plugged
//! into, `0e:ff:ff:00:NN:NN` the switch of a network. All are locally administered (IEEE 802, bit 1 of the first byte).

use super::{Attach, Bridge, Nic};
use crate::name::Mac;

fn readable(kind: u8, host: u16, container: u16, interface: u8) -> Mac {
    let ([h1, h0], [c1, c0]) = (host.to_be_bytes(), container.to_be_bytes());
    Mac([kind, h1, h0, c1, c0, interface])
}

/// The address of a NIC of a host (container 0) or of a container.
pub fn of_nic(host: u16, container: u16, nic: &Nic) -> Mac {
    nic.mac.unwrap_or_else(|| readable(0x02, host, container, nic.number))
}

/// The address of the host's end of a container's NIC.
pub fn of_host_end(host: u16, container: u16, nic: &Nic) -> Mac {
    let given = match &nic.attach {
        Attach::Host(end) => end.mac,
        Attach::Network(_) => None,
    };
    given.unwrap_or_else(|| readable(0x06, host, container, nic.number))
}

/// The address of a host's bridge.
pub fn of_bridge(host: u16, bridge: &Bridge) -> Mac {
    bridge.mac.unwrap_or_else(|| readable(0x0a, host, 0, bridge.number))
}

/// Whether it is one that a lab with a role gives to an interface of the machine itself.
pub fn is_of_a_machine(mac: Mac) -> bool {
    let Mac([kind, _, _, container1, container0, _]) = mac;
    kind == 0x06 && (container1, container0) != (0, 0) || kind == 0x0a && (container1, container0) == (0, 0)
}

/// The address of the switch port that a host's NIC is plugged into.
pub fn switch_port(host: u16, nic: u8) -> Mac {
    readable(0x0e, host, 0, nic)
}

/// The address of the switch that stands for the n-th network of the file.
pub fn switch(network: u16) -> Mac {
    let [n1, n0] = network.to_be_bytes();
    Mac([0x0e, 0xff, 0xff, 0, n1, n0])
}
