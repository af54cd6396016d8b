# lab: bare-lxd
# against: bridged
# verdict: fail
# why: No container is configured
