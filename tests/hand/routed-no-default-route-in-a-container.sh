# lab: bare
# against: routed
# verdict: fail
# why: a2 has no route to
routed
at host-a.a2 route del default
