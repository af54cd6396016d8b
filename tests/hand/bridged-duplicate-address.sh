# lab: bare
# against: bridged
# verdict: fail
# why: Several have the address 10.0.0.1
bridged
at host-b.b1 addr flush dev eth0
at host-b.b1 addr add 10.0.0.1/24 dev eth0
