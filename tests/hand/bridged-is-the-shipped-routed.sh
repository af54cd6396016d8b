# lab: routed
# against: bridged
# verdict: fail
# why: no port of
