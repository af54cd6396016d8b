#!/bin/bash
# The cases of conformance.sh on the server of ADDRESS, which trusts the client of LXD_DIR: CLIENT is nslab under the name lxc.
#
#   as-lxc.sh NSLAB IMAGE
set -eu
mkdir -p "$(dirname "$LXD_CONF")/bin"
ln -sf "$1" "$(dirname "$LXD_CONF")/bin/lxc"
exec "$(dirname "$0")/conformance.sh" "$(dirname "$LXD_CONF")/bin/lxc" "$ADDRESS" "$(lxc config trust add --name own -q | tail -1)" "$2"
