# lab: bare
# against: bridged
# verdict: fail
# why: that node is on the wire itself
bridged
at host-a link set enp0s8 netns "$LAB.host-a.a1"
at host-a.a1 addr flush dev eth0
at host-a.a1 link set enp0s8 up
at host-a.a1 addr add 10.0.0.1/24 dev enp0s8
