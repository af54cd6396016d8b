"""The live tests inside of a virtual machine: the test executables and the release binary on a disk, at the paths they were built for."""
import json
import os
import re
import shutil
import subprocess
import sys

import image

# Run by `make test-vm`; a file of tests, and where not all of them are run, the words that are in the names of those that are.
TESTS = {
    "binary": [],
    "ping": ["a_ping_says", "a_small_mtu", "user_namespace"],
    "live": ["in_bridged_everybody", "in_routed_everybody"],
    "live_exec": ["a_node_has_a_hostname", "on_a_host_without_the_stock_client"],
    "live_processes": ["down_ends_every_process"],
    "tap": ["a_vlan_tag"],
}
# Run by `tests/vm/run suite all`. Left out are those that run nslab, or the predictor, a thousand times, and those of agents and of a real
# LXD: for agents there is the case of that name.
ALL = """binary ping live live_exec live_terminal live_commands live_processes live_files tap support_self
  live_graph live_languages trace trace_causes trace_filters trace_ports trace_unknown ping_all macs capture capture_files check check_by_hand check_ports foreign
  role borrow borrow_nic borrow_watch halves interference instances journal sessions""".split()
WITHOUT = [
    # Hundreds of thousands of frames as fast as they can be sent are no test of an emulated processor.
    "under_a_flood_it_loses", "frames_that_found_no_room",
]
# By their file or a word alone: they take hours there.
LONG = ["mistakes"]
# Each runs nslab hundreds of times, failing at one operation after another: by their file or a word, not by `all`. The case `killed` does
# the same to `up --role` and `down`.
SLOW = ["at_any_point"]


def asked(names):
    """The files of tests that `FILE` and `FILE:WORD` name, with the words; of no name the choice, of `all` all."""
    if not names:
        return TESTS
    words = {}
    for name in ALL if names == ["all"] else names:
        file, _, word = name.partition(":")
        words.setdefault(file, []).extend([word] if word else [])
    unknown = set(words) - {*ALL, *LONG}
    if unknown:
        sys.exit(f"no test {' '.join(unknown)}; there are: all {' '.join(ALL)}")
    return words


def chosen(found, words, without):
    """The tests of those files that have one of the words in their name, or all of a file without any, as lines of file and name."""
    for file, some in words.items():
        listed = image.output(found[file], "--list", "--format", "terse")
        for name in re.findall(r"^(\S+): test$", listed, re.M):
            if not any(word in name for word in without) and (not some or any(word in name for word in some)):
                yield f"{file} {name}\n"


def executables(root, names):
    """The test executables that cargo has built, by name, and nslab with faults; builds those that it has not."""
    tests = [word for name in names for word in ("--test", name)]
    command = ["test", "--no-run", *tests] if names else ["build"]
    found, binary = {}, None
    for line in image.output("cargo", *command, "--locked", "--features", "fault", "--message-format=json", cwd=root).splitlines():
        message = json.loads(line)
        if message.get("executable"):
            if message["target"]["kind"] == ["test"]:
                found[message["target"]["name"]] = message["executable"]
            elif message["target"]["kind"] == ["bin"]:
                binary = message["executable"]
    missing = set(names) - set(found)
    if missing or not binary:
        sys.exit(f"cargo did not name the executables of {' '.join(sorted(missing)) or 'nslab'}")
    return found, binary


def strip(path, to):
    """Four fifths of a program are for a debugger."""
    subprocess.run(["strip", "-o", to, path], check=True)
    return to


def faulty(root, work):
    """The nslab that can be killed at an operation."""
    return strip(executables(root, [])[1], os.path.join(work, "nslab-fault"))


def disk(root, names, nslab, work):
    """A disk with those tests, or the chosen ones, to be mounted at the repository's own path."""
    words = asked(names)
    found, binary = executables(root, list(words))
    stage = os.path.join(work, "stage")
    os.makedirs(stage)
    for name in ("tests", "topologies", "docs"):
        shutil.copytree(os.path.join(root, name), os.path.join(stage, name), ignore=shutil.ignore_patterns("vm", "*.rs", "__pycache__"))
    shutil.copy(os.path.join(root, "README.md"), stage)
    os.makedirs(os.path.join(stage, "live"))
    with open(os.path.join(stage, "tests.txt"), "w") as file:
        file.writelines(chosen(found, words, WITHOUT + (SLOW if names == ["all"] else [])))
    for name, path in found.items():
        strip(path, os.path.join(stage, "live", name))
    strip(binary, os.path.join(stage, "live", "nslab-fault"))
    with open(os.path.join(stage, "live", "nslab"), "w") as file:
        file.write(os.path.relpath(binary, root))
    # Where the tests were told to find nslab stands the static binary that users get.
    for place in (os.path.relpath(binary, root), "target/nslab"):
        os.makedirs(os.path.dirname(os.path.join(stage, place)), exist_ok=True)
        shutil.copy(nslab, os.path.join(stage, place))
    return image.disk(stage, os.path.join(work, "suite"), 0)
