# lab: bare
# against: routed
# verdict: fail
# why: ends in the bridge br0, not in an interface of the host alone
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
behind host-a a1 a2 10.1.0
behind host-b b1 b2 10.2.0
