#!/usr/bin/env python3
"""Floods a link with small frames and counts what `nslab capture -w` and tcpdump, side by side on it, have lost.

    benches/flood.py --nslab PATH [--frames 200000] [--reps 5]

Both listen at the same interface in the same run; tcpdump with its own defaults. Prints Markdown. Needs root and tcpdump.
Every run is in a box of its own: network, mount and process namespaces and an empty /run.
"""
import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

BOX = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private"]
PIN = "/run/nslab/bridged/netns/{}"
# To a1 from nobody, of a type that nobody else uses: 60 bytes.
FRAME = bytes.fromhex("020001000100 020909090909 88b5") + bytes(46)
NUMBER = struct.Struct(">I")


def listener(command):
    """Starts a program and returns once it says that it listens."""
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    while b"listening" not in child.stderr.readline():
        if child.poll() is not None:
            raise SystemExit(f"{command[0]} does not listen")
    return child


def flood(frames):
    """Sends the frames from the host's end of a1's link; how many a second."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("veth-a1", 0))
        start = time.monotonic()
        for number in range(frames):
            sender.send(FRAME[:14] + NUMBER.pack(number) + FRAME[18:])
        return frames / (time.monotonic() - start)


def flood_within(frames):
    """The same in the host's namespace, by a process of its own."""
    enter = ["nsenter", "--net=" + PIN.format("host-a"), sys.executable, os.path.abspath(__file__)]
    return json.loads(subprocess.check_output([*enter, "--nslab", "", "--frames", str(frames), "--send"], text=True))


def kept(file):
    """How many different frames of the flood are in a file."""
    command = ["tcpdump", "-r", file, "-w", "-", "ether proto 0x88b5"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    at, numbers = 24, set()
    while at < len(data):
        length = struct.unpack_from("=I", data, at + 8)[0]
        numbers.add(NUMBER.unpack_from(data, at + 16 + 14)[0])
        at += 16 + length
    return len(numbers)


def sample(nslab, frames):
    subprocess.run("mount -t tmpfs tmpfs /run && ip link set lo up", shell=True, check=True)
    subprocess.run([nslab, "up", "bridged"], check=True, stdout=subprocess.DEVNULL)
    inside = ["nsenter", "--net=" + PIN.format("host-a.a1")]
    theirs = listener([*inside, "tcpdump", "-i", "eth0", "-U", "-Z", "root", "-w", "/run/theirs.pcap"])
    ours = listener([nslab, "capture", "a1.eth0", "-w", "/run/ours.pcapng"])
    rate = flood_within(frames)
    time.sleep(1.5)  # tcpdump's ring hands a block over after a second
    for child in (ours, theirs):
        child.send_signal(signal.SIGINT)
        child.wait()
    return {"rate": rate, "nslab": frames - kept("/run/ours.pcapng"), "tcpdump": frames - kept("/run/theirs.pcap")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nslab", required=True)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--sample", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        print(flood(options.frames))
        return
    nslab = os.path.abspath(options.nslab)
    if options.sample:
        print(json.dumps(sample(nslab, options.frames)))
        return
    if os.geteuid():
        raise SystemExit("flood.py needs root, for namespaces")
    print(f"{options.frames} frames of 60 bytes, lost by each\n\n| run | frames/s | nslab | tcpdump |\n| --- | --- | --- | --- |")
    for run in range(1, options.reps + 1):
        command = [*BOX, sys.executable, os.path.abspath(__file__), "--nslab", nslab, "--frames", str(options.frames), "--sample"]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.strip()[-600:])
        got = json.loads(done.stdout.splitlines()[-1])
        missed = "" if got["nslab"] <= got["tcpdump"] else " **missed**"
        print(f"| {run} | {got['rate']:.0f} | {got['nslab']}{missed} | {got['tcpdump']} |", flush=True)


main()
