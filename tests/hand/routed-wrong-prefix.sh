# lab: bare
# against: routed
# verdict: fail
# why: a1
routed
at host-a.a1 addr flush dev eth0
at host-a.a1 addr add 10.1.0.11/8 dev eth0
at host-a.a1 route replace default via 10.1.0.1
