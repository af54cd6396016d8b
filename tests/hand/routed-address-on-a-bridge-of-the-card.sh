# lab: bare
# against: routed
# verdict: fail
# why: The NIC of host-a on internal has no address
routed
at host-a addr flush dev enp0s8
bridge host-a ext enp0s8
at host-a addr add 192.168.1.1/24 dev ext
at host-a route replace default via 192.168.1.2
