# lab: bare-lxd
# against: routed
# verdict: pass
# why: 45 of 45
routers
at host-a route replace default via 192.168.1.2
at host-b route replace default via 192.168.1.1
for one in a1 a2; do
  at host-a link set veth-$one nomaster
  at host-a.$one addr flush dev eth0
done
bridge host-a br0 veth-a1 veth-a2
at host-a addr add 10.1.0.1/24 dev br0
at host-a.a1 addr add 10.1.0.11/24 dev eth0; at host-a.a1 route replace default via 10.1.0.1
at host-a.a2 addr add 10.1.0.12/24 dev eth0; at host-a.a2 route replace default via 10.1.0.1
at host-b link set veth-b1 nomaster
at host-b addr add 10.2.0.1/30 dev veth-b1
at host-b.b1 addr flush dev eth0
at host-b.b1 addr add 10.2.0.2/30 dev eth0; at host-b.b1 route replace default via 10.2.0.1
