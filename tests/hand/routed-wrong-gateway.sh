# lab: bare
# against: routed
# verdict: fail
# why: 10.1.0.99
routed
at host-a.a1 route replace default via 10.1.0.99
