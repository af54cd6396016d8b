# lab: bare
# against: routed
# verdict: fail
# why: host-b has no address in this scenario
routed
at host-b addr flush dev enp0s8
