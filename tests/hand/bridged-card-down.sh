# lab: bare
# against: bridged
# verdict: fail
# why: host-b.enp0s8 is down
bridged
at host-b link set enp0s8 down
