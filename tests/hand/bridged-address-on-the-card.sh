# lab: bare
# against: bridged
# verdict: fail
# why: it belongs on the bridge
bridged
at host-a addr add 10.0.0.101/24 dev enp0s8
