# lab: bare
# against: bridged
# verdict: fail
# why: No container is configured
