# lab: bare
# against: routed
# verdict: fail
# why: host-b has no route to
routed
at host-b route del default
