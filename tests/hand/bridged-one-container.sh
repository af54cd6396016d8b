# lab: bare
# against: bridged
# verdict: fail
# why: One container alone is configured: a1
bridged
at host-b.b1 addr flush dev eth0
