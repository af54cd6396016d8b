# lab: bare
# against: routed
# verdict: pass
# why: an address with a peer
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
behind host-a a1 a2 10.1.0
cable host-b b1 p1
at host-b addr add 10.2.0.1 peer 10.2.0.2 dev p1
at host-b.b1 addr add 10.2.0.2 peer 10.2.0.1 dev eth0
at host-b.b1 route add default via 10.2.0.1
