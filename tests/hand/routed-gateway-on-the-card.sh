# lab: bare
# against: routed
# verdict: fail
# why: 10.1.0.1
routed
at host-a addr del 10.1.0.1/24 dev br0
at host-a addr add 10.1.0.1/24 dev enp0s8
