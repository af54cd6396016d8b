# lab: bare
# against: routed
# verdict: pass
# why: host-b plays host-a, with the bridge br0 as a gateway
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
behind host-b b1 b2 10.1.0
link host-a a2 p1 10.2.0.1/30 10.2.0.2/30
