# lab: bare
# against: bridged
# verdict: fail
# why: host-a.br0 is down
bridged
at host-a link set br0 down
