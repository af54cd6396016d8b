# lab: bare
# against: routed
# verdict: fail
# why: no address
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
behind host-a a1 a2 10.1.0
cable host-b b1 v1
bridge host-b br0 v1
at host-b addr add 10.2.0.1/24 dev br0
