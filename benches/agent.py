#!/usr/bin/env python3
"""Measures the stock `lxc` client with nslab's agent beside a real LXD in the same run, and what the agent bears.

    benches/agent.py --nslab PATH [--reps 15] [--execs 2000] [--only latency,execs,slow,half-open]

Both servers are asked over TLS with a remote of the client's own, turn by turn. Needs root and Debian's lxd, lxd-client and
busybox-static. It runs in a box: network, mount and process namespaces, an empty /run and an empty /var/lib/nslab. Prints Markdown.
"""
import argparse
import glob
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BOX = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private"]
REAL = os.path.join(HERE, "..", "tests", "agent", "real-lxd.sh")
AGENT = ("192.168.100.2", 8443)
# host-a commands host-b; the client runs in host-a's network, beside a real LXD in the box's own.
WITHIN = ["nsenter", "--net=/run/nslab/routed/netns/host-a"]
# At most so many times what a real LXD takes; milliseconds; MiB.
RATIO = {"lxc list": 0.6, "lxc exec -- true": 0.6, "lxc launch": 0.25}
OWN_EXEC_MS, GOOD_P99_MS, SLOW_MIB = 60, 200, 8


def run(command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {(done.stdout + done.stderr).decode()[-600:]}")
    return done.stdout.decode()


def clock(command):
    start = time.monotonic()
    run(command)
    return (time.monotonic() - start) * 1e3


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def verdict(figure, target):
    return "" if figure <= target else " **missed**"


def lab(nslab):
    """The lab with an agent, and a remote `n` of the client's; the agent's process."""
    run([nslab, "up", "routed"])
    run([nslab, "agent", "start", "host-b"])
    token = run([nslab, "agent", "token", "host-b", "--name", "bench"]).strip()
    run([*WITHIN, "lxc", "remote", "add", "n", token])
    return int(run(["pgrep", "-f", "[s]erve-agent routed host-b"]).split()[0])


def memory(pid):
    """Resident, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def held(pid):
    """What may leak: file descriptors of the agent, processes, namespaces."""
    spaces = set()
    for link in glob.glob("/proc/[0-9]*/ns/*"):
        try:
            spaces.add(os.readlink(link))
        except OSError:
            pass  # The process has ended meanwhile.
    return {"fds": len(os.listdir(f"/proc/{pid}/fd")), "processes": len(glob.glob("/proc/[0-9]*")), "namespaces": len(spaces)}


def latency(options):
    token = run(["lxc", "config", "trust", "add", "--name", "bench", "-q"]).split()[-1]
    run(["lxc", "remote", "add", "l", token])
    lab(options.nslab)
    run(["lxc", "launch", "busybox", "l:b1"])
    took = {}
    for round in range(options.reps + 1):
        for whose, enter in (("l", []), ("n", WITHIN)):
            image = "busybox" if whose == "l" else "n:host"
            for what, words in (("lxc list", ["list", f"{whose}:"]), ("lxc exec -- true", ["exec", f"{whose}:b1", "--", "true"]),
                                ("lxc launch", ["launch", image, f"{whose}:c1"])):
                spent = clock([*enter, "lxc", *words])
                # The first round warms the caches of both.
                if round:
                    took.setdefault((what, whose), []).append(spent)
            run([*enter, "lxc", "delete", "-f", f"{whose}:c1"])
    print("| what | real LXD ms | nslab ms | ratio |\n| --- | --- | --- | --- |")
    for what, most in RATIO.items():
        theirs, ours = (statistics.median(took[what, whose]) for whose in "ln")
        ratio = ours / theirs
        row(f"`{what}`", f"{theirs:.0f}", f"{ours:.0f}", f"{ratio:.2f} (target {most}){verdict(ratio, most)}")
    run([*WITHIN, options.nslab, "remote", "add", "host-b", run([options.nslab, "agent", "token", "host-b", "--name", "own"]).strip()])
    own = statistics.median(clock([*WITHIN, options.nslab, "exec", "host-b:b1", "true"]) for _ in range(options.reps))
    row("`nslab exec host-b:b1 true`", "-", f"{own:.0f}", f"target {OWN_EXEC_MS} ms{verdict(own, OWN_EXEC_MS)}")
    run(["lxc", "delete", "-f", "l:b1"])
    run([options.nslab, "down", "routed"])


def execs(options):
    pid = lab(options.nslab)
    command = [*WITHIN, "lxc", "exec", "n:b1", "--", "true"]
    run(command)
    before, start, failed, lock, left = held(pid), memory(pid), [], threading.Lock(), []

    def worker():
        while True:
            with lock:
                if not left:
                    return
                left.pop()
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode:
                failed.append(done.stderr.decode()[-200:])

    def crowd(number):
        """So many commands, 64 at a time; what the agent has kept once it has forgotten their operations, in KiB."""
        left.extend(range(number))
        began = time.monotonic()
        workers = [threading.Thread(target=worker) for _ in range(64)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        seconds = time.monotonic() - began
        time.sleep(65)
        return seconds, memory(pid)

    seconds, first = crowd(options.execs)
    _, second = crowd(options.execs // 4)
    after = held(pid)
    print("| 64 at once | figure |\n| --- | --- |")
    row("`lxc exec` in all", options.execs + options.execs // 4)
    row("failed", f"{len(failed)} (target 0){verdict(len(failed), 0)}")
    row("a second", f"{options.execs / seconds:.0f}")
    for what in before:
        more = after[what] - before[what]
        row(f"more {what} afterwards", f"{more} (target 0){verdict(more, 0)}")
    row("more memory of the agent after the first crowd, MiB", f"{(first - start) / 1024:.1f}")
    row("more after another one of a quarter, MiB", f"{(second - first) / 1024:.1f}")
    for said in sorted(set(failed))[:3]:
        print("<!-- " + said.strip().replace("\n", " ") + " -->")
    run([options.nslab, "down", "routed"])


def slow(options):
    pid = lab(options.nslab)
    run([*WITHIN, "lxc", "exec", "n:b1", "--", "true"])
    before, most, size = memory(pid), 0, 1 << 30
    client = subprocess.Popen([*WITHIN, "lxc", "exec", "n:b1", "--", "head", "-c", str(size), "/dev/zero"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    got, began = 0, time.monotonic()
    while True:
        data = client.stdout.read(1 << 20)
        if not data:
            break
        got += len(data)
        most = max(most, memory(pid))
        # Slow for ten seconds, then as fast as it comes: all of it must arrive.
        if time.monotonic() - began < 10:
            time.sleep(0.1)
    more = (most - before) / 1024
    print("| 1 GiB of output to a slow reader | figure |\n| --- | --- |")
    row("bytes that arrived", f"{got} of {size}{verdict(size - got, 0)}")
    row("exit code", client.wait())
    row("more memory of the agent meanwhile, MiB", f"{more:.1f} (target {SLOW_MIB}){verdict(more, SLOW_MIB)}")
    run([options.nslab, "down", "routed"])


def half_open(options):
    lab(options.nslab)
    home = os.environ["LXD_CONF"]
    # In host-a's network from here on; this is the last thing that the process does.
    script = [*WITHIN, sys.executable, os.path.abspath(__file__), "--nslab", options.nslab, "--clients", home]
    print(run(script), end="")
    run([options.nslab, "down", "routed"])


def clients(home):
    """200 that connect and say nothing, half a handshake or half a request; and one that asks properly."""
    plain = ssl.create_default_context()
    plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
    good = ssl.create_default_context()
    good.check_hostname, good.verify_mode = False, ssl.CERT_NONE
    good.load_cert_chain(f"{home}/client.crt", f"{home}/client.key")
    idle, stop = [], threading.Event()

    def one(number):
        while not stop.is_set():
            try:
                tcp = socket.create_connection(AGENT, timeout=20)
                idle.append(tcp)
                if number % 3 == 1:
                    tcp.sendall(b"\x16\x03\x01\x02\x00\x01")
                if number % 3 == 2:
                    tls = plain.wrap_socket(tcp)
                    idle.append(tls)
                    tls.sendall(b"GET /1.0 HTTP/1.1\r\nHost: x\r\nX-")
                    tls.recv(1)
                else:
                    tcp.recv(1)
                tcp.close()
            except OSError:
                pass
            stop.wait(0.05)

    for number in range(200):
        threading.Thread(target=one, args=(number,), daemon=True).start()
    time.sleep(2)
    took, failed = [], 0
    for _ in range(300):
        began = time.monotonic()
        try:
            with socket.create_connection(AGENT, timeout=20) as tcp, good.wrap_socket(tcp) as tls:
                tls.sendall(b"GET /1.0/instances HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if not tls.recv(64).startswith(b"HTTP/1.1 200"):
                    failed += 1
        except OSError:
            failed += 1
        took.append((time.monotonic() - began) * 1e3)
        time.sleep(0.01)
    stop.set()
    took.sort()
    p99 = took[int(len(took) * 0.99)]
    print("| 200 slow or half-open clients, and a good one that connects 300 times | figure |\n| --- | --- |")
    row("its answers that failed", f"{failed} (target 0){verdict(failed, 0)}")
    row("median, ms", f"{statistics.median(took):.0f}")
    row("99th percentile, ms", f"{p99:.0f} (target {GOOD_P99_MS}){verdict(p99, GOOD_P99_MS)}")
    sys.stdout.flush()
    # The slow ones still wait for the agent.
    os._exit(0)


def inside(options):
    parts = {"latency": latency, "execs": execs, "slow": slow, "half-open": half_open}
    for name in options.only.split(","):
        os.environ.setdefault("LXD_CONF", "/run/conf")
        os.makedirs(os.environ["LXD_CONF"], exist_ok=True)
        parts[name](options)
        print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nslab", required=True)
    parser.add_argument("--reps", type=int, default=15)
    parser.add_argument("--execs", type=int, default=2000)
    parser.add_argument("--only", default="latency,execs,slow,half-open")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--clients", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clients:
        clients(options.clients)
    elif options.inside:
        inside(options)
    else:
        nslab = os.path.abspath(options.nslab)
        again = [sys.executable, os.path.abspath(__file__), "--nslab", nslab, "--inside"]
        again += ["--reps", str(options.reps), "--execs", str(options.execs)]
        # The shell is the box's init: it reaps what others leave.
        script = ('mount -t tmpfs tmpfs /run; mkdir -p /run/netns; mount -t tmpfs tmpfs /var/lib/nslab 2>/dev/null || mount -t tmpfs tmpfs /var/lib; '
                  'ip link set lo up; "$@"; code=$?; exit $code')
        for name in options.only.split(","):
            beside = [REAL, "/run/lxd"] if name == "latency" else []
            subprocess.run([*BOX, "sh", "-c", script, "sh", *beside, *again, "--only", name], check=True)


if __name__ == "__main__":
    main()
