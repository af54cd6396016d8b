# lab: bare
# against: bridged
# verdict: fail
# why: No subnet has all of them
routed
