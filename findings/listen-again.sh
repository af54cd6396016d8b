#!/bin/sh
# A second listen(2) on a Unix socket changes whom SO_PEERCRED names to the clients.
#
# Kernel: seen on Linux 6.18; unix_listen() in net/unix/af_unix.c takes the credentials at each call.
# One would guess: the peer of a client is the process that accepts, or the one that made the socket; and listen(2) on a socket that
#   listens already does nothing. unix(7) tells when the credentials are taken, not that a further call takes them anew.
# Seen: a child that inherits a listening socket is not named to clients, though it accepts; its parent is, even after it has ended. When
#   the child calls listen(2) once more, clients are told the child.
# What follows: who hands a listening socket on (socket activation) and is looked up by its clients' SO_PEERCRED lets the heir listen again.
set -eu
command -v python3 >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uname -sr
cd "$folder" && python3 -c '
import os, socket, struct
def peer():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("s")
        return struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
server = socket.socket(socket.AF_UNIX)
server.bind("s")
server.listen()
asked, answer = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    server.accept()
    os.write(answer[1], b"1")
    os.read(asked[0], 1)
    server.listen()
    os.write(answer[1], b"2")
    server.accept()
    os._exit(0)
first = peer()
os.read(answer[0], 1)
os.write(asked[1], b"x")
os.read(answer[0], 1)
second = peer()
os.waitpid(child, 0)
print("accepted by the child, named:", "the parent" if first == os.getpid() else first)
print("after listen(2) in the child, named:", "the child" if second == child else second)
raise SystemExit(0 if (first, second) == (os.getpid(), child) else 1)
'
