# lab: bare
# against: routed
# verdict: fail
# why: a2 has no
routed
at host-a.a2 addr flush dev eth0
