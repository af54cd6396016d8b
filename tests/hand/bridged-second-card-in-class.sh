# lab: bare-lxd
# against: bridged
# verdict: pass
# why: 50 of 50
nics
cable host-a a1 v1 eth1; bridge host-a br0 enp0s8 v1
cable host-b b1 v1 eth1; bridge host-b br0 enp0s8 v1
at host-a.a1 addr add 10.0.0.1/24 dev eth1
at host-b.b1 addr add 10.0.0.2/24 dev eth1
