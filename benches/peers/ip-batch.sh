#!/bin/bash
# The bridged lab by `ip -batch`: one process makes the namespaces, one per namespace fills it.   up|down N
set -euo pipefail
n=$2
commands=$(mktemp -d)
trap 'rm -rf "$commands"' EXIT

up() {
  { for ((h = 0; h < 2; h++)); do echo "netns add h$h"; done; for ((c = 0; c < n; c++)); do echo "netns add c$c"; done; } > "$commands/all"
  ip -batch "$commands/all"
  for h in 0 1; do
    {
      echo link add br0 type bridge forward_delay 0
      echo link set br0 up
      echo link set lo up
      if [ $h = 0 ]; then echo link add wire type veth peer name wire netns h1; fi
      for ((c = h; c < n; c += 2)); do
        printf 'link add v%d type veth peer name eth0 netns c%d\nlink set v%d master br0\nlink set v%d up\n' $c $c $c $c
      done
      echo link set wire master br0
      echo link set wire up
    } > "$commands/h$h"
  done
  for h in 0 1; do ip -n h$h -batch "$commands/h$h"; done
  for ((c = 0; c < n; c++)); do
    printf 'link set lo up\naddr add 10.0.%d.%d/8 dev eth0\nlink set eth0 up\n' $(((c + 2) >> 8)) $(((c + 2) & 255)) | ip -n c$c -batch -
  done
}

down() {
  { for ((c = 0; c < n; c++)); do echo "netns del c$c"; done; echo netns del h0; echo netns del h1; } > "$commands/all"
  ip -batch "$commands/all"
}

"$1"
