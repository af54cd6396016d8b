#!/usr/bin/env python3
"""Measures nslab beside a floor in C, `ip -batch` and mininet, and prints Markdown.

    make bench                       everything; as root; about fifteen minutes
    benches/run.py --nslab PATH [--n 4,100] [--reps 5] [--only floor,nslab] [--quick]

Every sample is taken in a box of its own: network, mount and process namespaces and an empty /run, made before the clock
starts. `up` and `down` are whole processes, from fork to exit (mininet: its own clock, inside its Python). The contestants
take turns, so that a slow minute hits all of them. After each `up` one ping crosses between the hosts. Figures are medians.
Needs root, gcc, iproute2 and ping; mininet takes part where `mn` and `brctl` are installed.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "..", "target", "bench")
BOX = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private"]
TOPOLOGY = """name: star
networks: {{ internal: {{}} }}
hosts:
  host-a:
    nics: {{ eth1: {{ network: internal }} }}
    bridges: {{ br0: {{ ports: [eth1] }} }}
    containers: {{ a: {{ count: {half}, nics: {{ eth0: {{ bridge: br0, address: 10.0.0.1/16 }} }} }} }}
  host-b:
    nics: {{ eth1: {{ network: internal }} }}
    bridges: {{ br0: {{ ports: [eth1] }} }}
    containers: {{ b: {{ count: {half}, nics: {{ eth0: {{ bridge: br0, address: 10.0.128.1/16 }} }} }} }}
"""
# What the figures should be: `up` in multiples of the floor, the rest in milliseconds, MiB or answered pings.
UP_TIMES_FLOOR, FASTER_THAN = 1.5, {"ip -batch": 3, "mininet": 12}
DOWN_MS = {4: 15, 100: 40, 1000: 250}


def clock(command, **more):
    """Runs a whole process; returns its milliseconds and its largest resident memory in MiB."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    milliseconds = (time.monotonic() - start) * 1e3
    if status:
        raise SystemExit(f"{' '.join(command[:4])}: {said.decode()[-400:]}")
    return milliseconds, usage.ru_maxrss / 1024


def ping(namespace, address):
    command = ["nsenter", f"--net=/run/netns/{namespace}", "ping", "-n", "-c1", "-W2", address]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def star(count):
    path = f"/run/star-{count}.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(TOPOLOGY.format(half=count // 2))
    return path


# Each of these runs inside a box and returns a dictionary of figures.

def floor(count, _nslab):
    return {"up": clock([os.path.join(BUILT, "floor"), str(count)], cwd="/run")[0], "ping": True}


def nslab_up_down(count, nslab):
    up, memory = clock([nslab, "up", star(count)])
    answered = ping("star.host-a.a1", "10.0.128.1")
    return {"up": up, "down": clock([nslab, "down", "star"])[0], "memory": memory, "ping": answered}


def ip_batch(count, _nslab):
    script, last = os.path.join(HERE, "peers", "ip-batch.sh"), count + 1
    up = clock(["bash", script, "up", str(count)])[0]
    answered = ping("c0", f"10.0.{last >> 8}.{last & 255}")
    return {"up": up, "down": clock(["bash", script, "down", str(count)])[0], "ping": answered}


def mininet(count, _nslab):
    script = os.path.join(HERE, "peers", "mn.py")
    return json.loads(subprocess.check_output(["/usr/bin/python3", script, str(count)], text=True).splitlines()[-1])


def up_again(count, nslab):
    path = star(count)
    clock([nslab, "up", path])
    return {"ms": clock([nslab, "up", path])[0]}


def exec_cold(_count, nslab):
    clock([nslab, "up", "bridged"])
    return {"ms": statistics.median(clock([nslab, "exec", "a1", "true"])[0] for _ in range(20))}


def exec_warm(_count, nslab):
    clock([nslab, "up", "bridged"])
    with subprocess.Popen([nslab, "exec", "a1", "sleep", "60"], stdin=subprocess.DEVNULL) as keeper:
        time.sleep(0.5)
        median = statistics.median(clock([nslab, "exec", "a1", "true"])[0] for _ in range(20))
        keeper.kill()
    clock([nslab, "down", "bridged"])
    return {"ms": median}


def first_pings(_count, nslab):
    """Straight after `up`, every container pings every other at once: one packet each, no retry."""
    clock([nslab, "up", "bridged"])
    show = subprocess.check_output("for p in /run/netns/bridged.*.*; do echo $p $(nsenter --net=$p ip -o -4 addr show eth0); done",
                                   shell=True, text=True)
    nodes = {words[0]: words[4].split("/")[0] for words in map(str.split, show.splitlines())}
    pairs = [(pin, to) for pin in nodes for other, to in nodes.items() if other != pin]
    children = [subprocess.Popen(["nsenter", f"--net={pin}", "ping", "-n", "-c1", "-W1", to], stdout=subprocess.DEVNULL) for pin, to in pairs]
    return {"ok": len(pairs) == 12 and all([child.wait() == 0 for child in children])}


def trace(_count, nslab):
    clock([nslab, "up", "routed"])
    return {"ms": statistics.median(clock([nslab, "trace", "a1", "b1"])[0] for _ in range(9))}


def macs(_count, nslab):
    clock([nslab, "up", "bridged"])
    return {"ms": statistics.median(clock([nslab, "macs", "bridged"])[0] for _ in range(9))}


def graph(count, nslab):
    """A lab that is up, every node looked at."""
    clock([nslab, "up", star(count)])
    return {"ms": statistics.median(clock([nslab, "graph", "star", "--format", "svg"])[0] for _ in range(5))}


def check(_count, nslab):
    """The slowest of the built-in labs that have checkpoints."""
    slowest = 0
    for lab in ("bridged", "bridged-hosts", "bridged-deny", "routed", "routed-router", "three-hosts"):
        clock([nslab, "up", lab])
        slowest = max(slowest, statistics.median(clock([nslab, "check", lab])[0] for _ in range(3)))
        clock([nslab, "down", lab])
    return {"ms": slowest}


def check_all(count, nslab):
    """`reach: all` among so many containers."""
    path = star(count)
    with open(path, "a", encoding="utf-8") as file:
        file.write("checkpoints: [{ name: all, points: 1, checks: [{ reach: all }] }]\n")
    clock([nslab, "up", path])
    return {"ms": clock([nslab, "check", "star"])[0]}


def ping_all(count, nslab):
    """Every pair of containers, one process; what is not answered is an error and ends the benchmark."""
    clock([nslab, "up", star(count)])
    return {"ms": clock([nslab, "ping", "--all", "star"])[0]}


def many_hosts(count, nslab):
    """Twenty hosts on one network, with so many containers in all."""
    host = ("  h{0}:\n    nics: {{ eth1: {{ network: internal }} }}\n    bridges: {{ br0: {{ ports: [eth1] }} }}\n"
            "    containers: {{ c{0}-: {{ count: {1}, nics: {{ eth0: {{ bridge: br0, address: 10.{2}.0.1/8 }} }} }} }}\n")
    with open("/run/many.yaml", "w", encoding="utf-8") as file:
        file.write("name: many\nnetworks: { internal: {} }\nhosts:\n")
        file.writelines(host.format(number, count // 20, number + 1) for number in range(20))
    up, memory = clock([nslab, "up", "/run/many.yaml"])
    return {"up": up, "memory": memory, "ping": ping("many.h0.c0-1", "10.20.0.1"), "down": clock([nslab, "down", "many"])[0]}


CONTESTANTS = {"floor": floor, "nslab": nslab_up_down, "ip -batch": ip_batch, "mininet": mininet}
SINGLES = {f.__name__: f for f in (up_again, exec_cold, exec_warm, trace, macs, graph, ping_all, check, check_all, first_pings, many_hosts)}


def in_box(name, count, nslab):
    command = [*BOX, sys.executable, os.path.abspath(__file__), "--nslab", nslab, "--sample", name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"{name} fails at N={count}: {done.stderr.strip()[-600:]}")
    time.sleep(0.3 if count < 1000 else 8)  # the kernel still frees namespaces
    return json.loads(done.stdout.splitlines()[-1])


def repetitions(name, count, wanted):
    """The slow ones are slow enough to be measured seldom: minutes would go into a figure of seconds."""
    if count < 1000:
        return wanted
    return {"ip -batch": 1, "mininet": 0}.get(name, wanted)


def verdict(good):
    return "" if good else " **missed**"


def race(counts, names, reps, nslab):
    print("| N | contestant | up ms | x floor | down ms | pings |\n| --- | --- | --- | --- | --- | --- |")
    memory, ups = {}, {}
    for count in counts:
        got = {name: [] for name in names}
        for turn in range(reps):
            for name in names if turn % 2 == 0 else names[::-1]:
                if turn < repetitions(name, count, reps):
                    got[name].append(in_box(name, count, nslab))
        median = {name: {key: statistics.median(s[key] for s in samples) for key in samples[0]} for name, samples in got.items() if samples}
        base = median.get("floor", {}).get("up")
        for name, figures in median.items():
            times = figures["up"] / base if base else float("nan")
            mark = verdict(name != "nslab" or not times > UP_TIMES_FLOOR)
            down = figures.get("down")
            told = "-" if down is None else f"{down:.1f}" + verdict(name != "nslab" or down <= DOWN_MS.get(count, 1e9))
            pings = f"{sum(s['ping'] for s in got[name])}/{len(got[name])}" if name != "floor" else "-"
            print(f"| {count} | {name} | {figures['up']:.1f} | {times:.2f}{mark} | {told} | {pings} |", flush=True)
        for name, factor in FASTER_THAN.items():
            if name in median and "nslab" in median:
                faster = median[name]["up"] / median["nslab"]["up"]
                print(f"| {count} | nslab is faster than {name} | | {faster:.1f} times (target {factor}){verdict(faster >= factor)} | | |", flush=True)
        memory[count] = median.get("nslab", {}).get("memory")
        ups[count] = median.get("nslab", {}).get("up")
    return memory, ups


def largest_lab(nslab, per_container):
    """Ten thousand containers: what each costs beside one of a thousand, and nslab's own memory."""
    got = in_box("many_hosts", 10000, nslab)
    beside = got["up"] / 10000 / per_container
    print(f"\n20 hosts with 500 containers each: `up` {got['up'] / 1e3:.1f} s, {got['up'] / 1e4:.2f} ms for a container, "
          f"{beside:.2f} times that of N=1000 (target 1.3){verdict(beside <= 1.3)}; `down` {got['down']:.0f} ms; "
          f"{got['memory']:.0f} MiB (target 200){verdict(got['memory'] < 200)}; the first answers the last: {got['ping']}", flush=True)


def singles(nslab, reps, memory, largest):
    print("\n| what | figure | target |\n| --- | --- | --- |")
    rows = [("`up` of a lab that is up, N=100", "up_again", 100, 30), ("`exec a1 true`, no sandbox yet", "exec_cold", 4, 15),
            ("`exec a1 true`, sandbox there", "exec_warm", 4, 5), ("`trace a1 b1`, routed", "trace", 4, 150),
            ("`macs bridged`", "macs", 4, 300), ("`graph` of a lab that is up, N=1000", "graph", 1000, 300),
            ("`ping --all`, 9 900 pairs", "ping_all", 100, 2000), ("`check`, the slowest built-in lab", "check", 4, 500),
            ("`check` of `reach: all`, 9 900 pairs", "check_all", 100, 2500)]
    for title, name, count, target in rows:
        figure = statistics.median(in_box(name, count, nslab)["ms"] for _ in range(reps))
        print(f"| {title} | {figure:.1f} ms{verdict(figure <= target)} | {target} ms |", flush=True)
    if memory.get(largest):
        print(f"| memory of `up`, N={largest} | {memory[largest]:.1f} MiB{verdict(memory[largest] <= 64)} | 64 MiB |")
    answered = sum(in_box("first_pings", 4, nslab)["ok"] for _ in range(50))
    print(f"| first ping, all pairs, straight after `up` | {answered}/50{verdict(answered == 50)} | 50/50 |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nslab", required=True)
    parser.add_argument("--n", default="4,100,1000")
    parser.add_argument("--reps", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true", help="the race alone")
    parser.add_argument("--sample", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    nslab = os.path.abspath(options.nslab)
    if options.sample:
        subprocess.run("mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up", shell=True, check=True)
        name, count = options.sample
        print(json.dumps({**CONTESTANTS, **SINGLES}[name](int(count), nslab)))
        return
    if os.geteuid():
        raise SystemExit("run.py needs root, for namespaces; try: make bench")
    os.makedirs(BUILT, exist_ok=True)
    subprocess.check_call(["gcc", "-O2", "-o", os.path.join(BUILT, "floor"), os.path.join(HERE, "floor.c")])
    names = [name for name in CONTESTANTS if name != "mininet" or (shutil.which("mn") and shutil.which("brctl"))]
    names = [name for name in names if not options.only or name in options.only.split(",")]
    counts = [int(n) for n in options.n.split(",")]
    print(f"Linux {platform.release()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, medians of {options.reps}\n")
    memory, ups = race(counts, names, options.reps, nslab)
    if not options.quick and "nslab" in names:
        singles(nslab, options.reps, memory, counts[-1])
        if ups.get(1000):
            largest_lab(nslab, ups[1000] / 1000)


main()
