# lab: bare
# against: routed
# verdict: fail
# why: b1 has no
routed
at host-b.b1 addr flush dev eth0
