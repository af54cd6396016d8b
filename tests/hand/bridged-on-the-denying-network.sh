# lab: bridged-deny
# against: bridged
# verdict: fail
# why: delivers unicast only to its NICs' own MAC addresses
