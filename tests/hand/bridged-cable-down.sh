# lab: bare
# against: bridged
# verdict: fail
# why: b1.eth0 is down
bridged
at host-b.b1 link set eth0 down
