# lab: bare
# against: routed
# verdict: fail
# why: overlap
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
behind host-a a1 a2 10.1.0
link host-b b1 p1 10.1.0.201/30 10.1.0.202/30
