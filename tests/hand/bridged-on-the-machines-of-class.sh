# lab: bare-lxd
# against: bridged
# verdict: pass
# why: 50 of 50
nics
at host-a link set veth-a1 nomaster; at host-b link set veth-b1 nomaster
bridge host-a br0 enp0s8 veth-a1
bridge host-b br0 enp0s8 veth-b1
at host-a.a1 addr flush dev eth0; at host-a.a1 addr add 10.0.0.1/24 dev eth0
at host-b.b1 addr flush dev eth0; at host-b.b1 addr add 10.0.0.2/24 dev eth0
