#!/bin/sh
# `read` in dash takes the first digit of a sysctl for its whole value.
#
# Programs: seen with dash 0.5.12 and BusyBox 1.35 (ash) on Linux 6.18. Since `read` may not take more than its line from what others read
#   too, both read a byte at a time from what they cannot seek back in; bash seeks, and reads more at once.
# Kernel: do_proc_dointvec() in kernel/sysctl.c answers a read at any position but 0 with the end of the file: a number cannot
#   be read in parts, as proc(5) does not say.
# One would guess: `read n </proc/sys/net/ipv4/tcp_keepalive_time` gives 7200, as with bash or cat.
# Seen: it gives 7 and ends with 1, as at the end of a file without a line end.
# What follows: scripts for /bin/sh take a sysctl by $(cat FILE); ip_forward, of one digit, looks right either way, but for the exit code.
set -eu
command -v dash >/dev/null || exit 77
file=/proc/sys/net/ipv4/tcp_keepalive_time
[ -r "$file" ] || exit 77
whole=$(cat "$file")
uname -sr
[ "${#whole}" -gt 1 ] || exit 77
got=$(dash -c 'read n <"$1" && echo "whole $n" || echo "cut $n"' sh "$file")
echo "cat: $whole; read in dash: $got"
[ "$got" = "cut ${whole%"${whole#?}"}" ]
if command -v busybox >/dev/null; then
  got=$(busybox sh -c 'read n <"$1" && echo "whole $n" || echo "cut $n"' sh "$file")
  echo "read in BusyBox: $got"
  [ "$got" = "cut ${whole%"${whole#?}"}" ]
fi
