# lab: bare
# against: bridged
# verdict: pass
# why: 50 of 50
at host-a link set enp0s8 name eth9
at host-a link set eth9 up; at host-b link set enp0s8 up
cable host-a a1 v1; bridge host-a br0 eth9 v1
cable host-b b1 v1; bridge host-b br0 enp0s8 v1
at host-a.a1 addr add 10.0.0.1/24 dev eth0
at host-b.b1 addr add 10.0.0.2/24 dev eth0
