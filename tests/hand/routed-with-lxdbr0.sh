# lab: bare-lxd
# against: routed
# verdict: fail
# why: lxdbr0
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
at host-b link set veth-b1 nomaster
at host-b addr add 10.2.0.1/30 dev veth-b1
at host-b.b1 addr flush dev eth0
at host-b.b1 addr add 10.2.0.2/30 dev eth0; at host-b.b1 route replace default via 10.2.0.1
