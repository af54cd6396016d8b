# lab: bare
# against: routed
# verdict: fail
# why: No subnet has all of them
routed
at host-a.a2 addr flush dev eth0
at host-a.a2 addr add 10.3.0.12/24 dev eth0
