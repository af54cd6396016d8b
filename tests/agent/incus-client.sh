#!/bin/sh
# Incus's stock client as DIRECTORY/bin/incus: the one that is installed, Debian's package, or on Debian 12, which has it in its
# backports alone, that package unpacked into DIRECTORY/incus. What apt is configured with stays as it is.
#
#   incus-client.sh DIRECTORY
set -eu
sudo=sudo
[ "$(id -u)" != 0 ] || sudo=
mkdir -p "$1/bin" 2>/dev/null && [ -w "$1" ] && [ -w "$1/bin" ] || { [ -n "$sudo" ] && exec sudo "$0" "$1"; }
directory=$(cd "$1" && pwd)
export DEBIAN_FRONTEND=noninteractive

fail() { echo "no Incus client: $*" >&2; exit 1; }
installed() { command -v incus || fail "incus-client has no incus"; }
candidate() { LC_ALL=C apt-cache policy incus-client | grep -q 'Candidate: [0-9]'; }

# Their own lists and cache; signatures are checked as ever.
from_backports() {
  mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^bookworm //p' | head -1)
  [ -n "$mirror" ] || fail "the sources of apt have no bookworm"
  scratch=$directory/incus.apt
  rm -rf "$scratch" "$directory/incus"
  mkdir -p "$scratch/lists/partial" "$scratch/archives/partial" "$scratch/got"
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  [ ! -r $keys ] || signed="[signed-by=$keys] "
  echo "deb ${signed-}$mirror bookworm-backports main" > "$scratch/sources.list"
  apt() {
    apt-get -q -o Acquire::Retries=5 -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$scratch/sources.list" \
      -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$scratch/lists" -o Dir::Cache="$scratch" \
      -o Dir::Cache::Archives="$scratch/archives" "$@" < /dev/null
  }
  apt update || fail "the backports of bookworm cannot be read"
  (cd "$scratch/got" && apt download incus-client) || fail "incus-client cannot be had from the backports of bookworm"
  dpkg -x "$scratch"/got/incus-client_*.deb "$directory/incus"
  rm -rf "$scratch"
}

if found=$(command -v incus); then
  :
elif candidate || { $sudo apt-get -q -o Acquire::Retries=5 update < /dev/null && candidate; }; then
  $sudo apt-get -q -o Acquire::Retries=5 install -y --no-install-recommends incus-client < /dev/null
  found=$(installed)
else
  from_backports
  found=$directory/incus/usr/bin/incus
fi
"$found" --version > /dev/null || fail "$found does not run"
ln -sfn "$found" "$directory/bin/incus"
