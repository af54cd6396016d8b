#!/bin/bash
# The same with the stock client: what the cases themselves are worth.
#
#   stock-lxc.sh NSLAB IMAGE    (NSLAB is not used)
set -eu
exec "$(dirname "$0")/conformance.sh" lxc "$ADDRESS" "$(lxc config trust add --name stock -q | tail -1)" "$2"
