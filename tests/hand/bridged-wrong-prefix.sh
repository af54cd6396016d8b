# lab: bare
# against: bridged
# verdict: fail
# why: No subnet has all of them
bridged
at host-b.b1 addr flush dev eth0
at host-b.b1 addr add 10.0.0.2/16 dev eth0
