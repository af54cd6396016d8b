# lab: bare
# against: routed
# verdict: pass
# why: 45 of 45
routed
