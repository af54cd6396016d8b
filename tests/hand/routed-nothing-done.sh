# lab: bare
# against: routed
# verdict: fail
# why: No container is configured
