# lab: bare
# against: bridged
# verdict: pass
# why: 50 of 50
bridged
at host-a addr add 10.0.0.101/24 dev br0
at host-b addr add 10.0.0.102/24 dev br0
