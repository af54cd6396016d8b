# lab: bare
# against: bridged
# verdict: fail
# why: Only one container is configured: a1
bridged
at host-b.b1 addr flush dev eth0
