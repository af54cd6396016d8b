# lab: bare
# against: bridged
# verdict: fail
# why: is no port of br0
bridged
at host-a link set v1 nomaster
