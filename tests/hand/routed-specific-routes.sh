# lab: bare
# against: routed
# verdict: pass
# why: has a route of its own for 10.2.0.0/30
routers
at host-a route add 10.2.0.0/30 via 192.168.1.2
at host-b route add 10.1.0.0/24 via 192.168.1.1
behind host-a a1 a2 10.1.0
link host-b b1 p1 10.2.0.1/30 10.2.0.2/30
