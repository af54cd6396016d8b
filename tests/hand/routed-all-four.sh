# lab: bare
# against: routed
# verdict: pass
# why: 45 of 45
routed
link host-b b2 p2 10.2.0.5/30 10.2.0.6/30
