#!/usr/bin/env python3
"""Applies every worked example of CONTRIBUTING.md to one copy of the source, builds it once, and runs what each of them adds.

An example is a heading below "## Worked examples", a diff, and the commands that show the new thing: they run as root in namespaces
of their own, with the new nslab as `nslab`, and stop at the first that fails. The files that a diff touches are counted."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "additions"
# What an addition of a kind may touch beside tests, documents and catalogues: new files, other files, and lines of those.
LIMITS = {
    "scenario": (1, 0, 0),
    "language": (1, 1, 1),
    "check": (1, 1, 2),
    "command": (1, 1, 2),
    # With the lines of its `mod`, of its help and of itself.
    "output format": (1, 2, 3),
    "agent route": (0, 3, None),
    # The key, who says it, the fact, its line and its heading, its request, what is seen of it.
    "link attribute": (0, 8, None),
}
APART = re.compile(r"^(tests/|docs/|README|CHANGELOG|src/render/lang/es\.txt$)")
BOX = ["unshare", "-nmpf", "--mount-proc", "--kill-child", "--propagation", "private", "sh", "-ec"]
SETUP = "mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; ip link set lo up; bash -euo pipefail -c \"$1\"; exit $?"


def examples(text):
    """Kind, diff and commands of each example."""
    part = text.split("\n## Worked examples\n", 1)[1].split("\n## ", 1)[0]
    for section in part.split("\n### ")[1:]:
        title, body = section.split("\n", 1)
        diffs = re.findall(r"^```diff\n(.*?)^```$", body, re.M | re.S)
        shown = re.findall(r"^```sh\n(.*?)^```$", body, re.M | re.S)
        if len(diffs) != 1 or len(shown) != 1:
            sys.exit(f"CONTRIBUTING.md: {title!r} has {len(diffs)} diffs and {len(shown)} blocks of commands, not one of each")
        yield title, diffs[0], shown[0]


def touched(diff):
    """New files, changed files, and lines changed in those; without what stands apart."""
    new, changed, lines, name, fresh = set(), set(), 0, None, False
    for line in diff.splitlines():
        if line.startswith("--- "):
            fresh = line == "--- /dev/null"
        elif line.startswith("+++ b/"):
            name = line[6:].split("\t")[0]
            if not APART.match(name):
                (new if fresh else changed).add(name)
        elif name in changed and line[:1] in "+-" and line[1:].strip():
            # A line that another takes the place of is one line.
            lines += line[0] == "+"
    return new, changed, lines


def judge(title, diff):
    kind = next((kind for kind in LIMITS if kind in title.lower()), None)
    if kind is None:
        sys.exit(f"CONTRIBUTING.md: {title!r} names none of: {', '.join(LIMITS)}")
    new, changed, lines = touched(diff)
    most_new, most_changed, most_lines = LIMITS[kind]
    print(f"{title}: new {', '.join(sorted(new)) or 'none'}; {lines} lines in {', '.join(sorted(changed)) or 'no other file'}")
    if len(new) > most_new or len(changed) > most_changed or (most_lines is not None and lines > most_lines):
        sys.exit(f"{title}: more than {most_new} new files and {most_lines} lines in {most_changed} others")
    return kind


def copy():
    shutil.rmtree(COPY, ignore_errors=True)
    ours = lambda folder, names: [name for name in names if Path(folder) == ROOT and name in ("target", ".git", "findings")]
    shutil.copytree(ROOT, COPY, ignore=ours, symlinks=True)


def cargo(*words):
    # The libraries that are built already serve the copy, too.
    env = os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target")}
    subprocess.run(["cargo", *words, "--locked", "--features", "fault"], cwd=COPY, env=env, check=True)


def main():
    found = list(examples((ROOT / "CONTRIBUTING.md").read_text()))
    kinds = {judge(title, diff) for title, diff, _ in found}
    if missing := [kind for kind in LIMITS if kind not in kinds]:
        sys.exit(f"CONTRIBUTING.md has no worked example of: {', '.join(missing)}")
    copy()
    for title, diff, _ in found:
        done = subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], cwd=COPY, input=diff, text=True, env=os.environ | {"GIT_CEILING_DIRECTORIES": str(COPY.parent)})
        if done.returncode:
            sys.exit(f"{title}: the diff does not apply any more")
    cargo("build")
    host = next(line.split()[1] for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if line.startswith("host:"))
    tools = COPY / "bin"
    tools.mkdir()
    shutil.copy2(ROOT / "target" / host / "debug" / "nslab", tools / "nslab")
    cargo("test", "--quiet", "--test", "catalogue", "--test", "circles", "--test", "layers", "--test", "topologies")
    root = [] if os.geteuid() == 0 else ["sudo", "-E", "env"]
    for title, _, shown in found:
        words = [*root, *(["env"] if not root else []), f"PATH={tools}:{os.environ['PATH']}:/usr/sbin:/sbin", *BOX, SETUP, "box", shown]
        done = subprocess.run(words, cwd=COPY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        if done.returncode:
            sys.exit(f"{title}: what shows it ended with {done.returncode}:\n{shown}\n{done.stdout}")
        print(f"{title}: shown")
    shutil.rmtree(COPY)


if __name__ == "__main__":
    main()
