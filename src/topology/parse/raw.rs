//! The keys of a topology file: what may be written, before it is known to make sense.

use super::decode::{At, List, Named, OneOrMany, record};
use crate::topology::Promiscuous;
use crate::topology::tree::Tree;

record! {
    /// A lab: hosts with containers, and the networks between the hosts.
    RawFile("File") {
        /// The name of the lab, unless `--name` says otherwise.
        #[schemars(required)]
        name: At<String>,
        /// One line on what the lab teaches.
        summary: At<String>,
        /// The L2 segments between hosts, by name.
        networks: Named<RawNetwork>,
        /// The machines, by name.
        #[schemars(required)]
        hosts: Named<RawHost>,
        /// What must hold, and the points that it gives: `nslab check`.
        checkpoints: Tree,
        /// The topology that it is to become by hand, or a list: their checkpoints judge it.
        exercise: OneOrMany,
    }
}

record! {
    /// An L2 segment between hosts: a wire with two ends, a switch with more or fewer.
    RawNetwork("Network") {
        /// A switch even where a wire would do.
        switch: bool,
        /// `deny` delivers unicast only to the NICs' own MAC addresses, as `VirtualBox` does by default.
        promiscuous: Promiscuous,
        /// Bytes of payload per frame; 1500 unless given.
        #[schemars(range(min = 68, max = 65535))]
        mtu: At<i64>,
    }
}

record! {
    /// A machine with its own network cards, bridges and containers.
    RawHost("Host") {
        /// Forwards packets, IPv4 and IPv6.
        forwarding: bool,
        /// Runs an agent that speaks LXD's API, so that `lxc` commands its containers.
        agent: bool,
        /// Its network cards, by interface name.
        nics: Named<RawHostNic>,
        /// Its default gateway; a list of two for both families.
        gateway: OneOrMany,
        /// Its bridges, by interface name.
        bridges: Named<RawBridge>,
        /// Its containers, by name.
        containers: Named<RawContainer>,
        /// Further routes.
        routes: List<RawRoute>,
    }
}

record! {
    /// A network card of a host.
    RawHostNic("HostNic") {
        /// The network that it is plugged into.
        #[schemars(required)]
        network: At<String>,
        /// Its address with the prefix length, or a list of them.
        address: OneOrMany,
        /// Its MAC address; nslab gives a readable one unless given.
        mac: At<String>,
        /// Bytes of payload per frame; the network's unless given.
        #[schemars(range(min = 68, max = 65535))]
        mtu: At<i64>,
        /// Administratively up; true unless given.
        up: bool,
    }
}

record! {
    /// A bridge of a host.
    RawBridge("Bridge") {
        /// The host's NICs that are its ports; containers name their bridge themselves.
        ports: OneOrMany,
        /// The host's own address on the bridge, or a list of them.
        address: OneOrMany,
        /// Its MAC address.
        mac: At<String>,
        /// Bytes of payload per frame, also for the containers on it; 1500 unless given.
        #[schemars(range(min = 68, max = 65535))]
        mtu: At<i64>,
        /// Runs the spanning tree protocol, which a loop needs.
        stp: bool,
        /// Administratively up; true unless given.
        up: bool,
    }
}

record! {
    /// A container of a host.
    RawContainer("Container") {
        /// Makes this many: `count: 3` on `c` makes c1, c2, c3. Addresses step by one, in a /30 or /31 by the subnet.
        #[schemars(range(min = 1, max = 4096))]
        count: At<i64>,
        /// Forwards packets, IPv4 and IPv6.
        forwarding: bool,
        /// Its network cards, by interface name.
        nics: Named<RawContainerNic>,
        /// Its default gateway; a list of two for both families.
        gateway: OneOrMany,
        /// Further routes.
        routes: List<RawRoute>,
    }
}

record! {
    /// A network card of a container: one end of a veth pair whose other end is in the host.
    RawContainerNic("ContainerNic") {
        /// The host's bridge that the other end is a port of.
        bridge: At<String>,
        /// The other end.
        host: RawHostEnd,
        /// Its address with the prefix length, or a list of them.
        address: OneOrMany,
        /// Its MAC address.
        mac: At<String>,
        /// Bytes of payload per frame, at both ends; the bridge's unless given.
        #[schemars(range(min = 68, max = 65535))]
        mtu: At<i64>,
        /// Administratively up; true unless given.
        up: bool,
    }
}

record! {
    /// The host's end of a container's NIC.
    RawHostEnd("HostEnd") {
        /// Its interface name; `veth-CONTAINER` unless given.
        name: At<String>,
        /// Its address with the prefix length, or a list of them; not on a bridge's port.
        address: OneOrMany,
        /// Its MAC address.
        mac: At<String>,
    }
}

record! {
    /// A route: exactly one of `via`, `dev` and `blackhole`.
    RawRoute("Route") {
        /// The destination, as 10.0.0.0/8.
        #[schemars(required)]
        to: At<String>,
        /// The router's address.
        via: At<String>,
        /// The interface that the destination is on.
        dev: At<String>,
        /// Drops the packets in silence.
        blackhole: bool,
    }
}
