# lab: bare-lxd
# against: bridged
# verdict: fail
# why: lxdbr0
nics
at host-a link set enp0s8 master lxdbr0
at host-b link set enp0s8 master lxdbr0
at host-a.a1 addr add 10.0.0.1/24 dev eth0
at host-b.b1 addr add 10.0.0.2/24 dev eth0
