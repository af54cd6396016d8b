# lab: bare
# against: routed
# verdict: fail
# why: host-b.p1 is down
routed
at host-b link set p1 down
