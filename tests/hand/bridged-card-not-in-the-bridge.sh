# lab: bare
# against: bridged
# verdict: fail
# why: host-b.enp0s8 is no port of br0
bridged
at host-b link set enp0s8 nomaster
