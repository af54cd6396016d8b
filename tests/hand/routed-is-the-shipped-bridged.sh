# lab: bridged
# against: routed
# verdict: fail
# why: does not forward
