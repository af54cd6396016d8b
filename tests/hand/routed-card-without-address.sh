# lab: bare
# against: routed
# verdict: fail
# why: The NIC of host-b on internal has no address
routed
at host-b addr flush dev enp0s8
