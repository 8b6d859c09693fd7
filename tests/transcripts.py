#!/usr/bin/env python3
"""Runs the commands that a page shows, and compares what they print with what the page says.

    transcripts.py PAGE              complains about what differs, but for numbers
    transcripts.py PAGE --update     writes into the page what was printed

Commands stand in blocks that begin with ```console, after "$ "; a line that ends in "\\" goes on. Everything else in such a block is
output. All of them run in one bash, in the working directory, in the page's order. This directory appears as /srv/shop.
"""

import difflib
import os
import re
import subprocess
import sys

MARK = "-- the end of a command, status "
FOLDER = "/srv/shop"


def read_page(path):
    """The page as a list of text lines and commands: (command lines, output lines)."""
    parts, inside, command = [], False, None
    for line in open(path, encoding="utf-8").read().splitlines():
        if line.startswith("```"):
            inside = line == "```console"
            command = None
            parts.append(line)
        elif not inside:
            parts.append(line)
        elif line.startswith("$ ") or (command and not command[1] and command[0][-1].endswith("\\")):
            if line.startswith("$ "):
                command = ([], [])
                parts.append(command)
            command[0].append(line)
        else:
            command[1].append(line)
    return parts


def run(commands):
    """What each command prints, with its status."""
    script = "exec 2>&1\n"
    for lines, _ in commands:
        script += "\n".join(lines)[2:] + f"\necho '{MARK}'$?\n"
    done = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=100)
    outputs, current = [], []
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            outputs.append((current, int(line[len(MARK):])))
            current = []
        else:
            current.append(line.replace(os.getcwd(), FOLDER).rstrip())
    assert len(outputs) == len(commands), (len(outputs), len(commands), current)
    return outputs


def masked(line):
    line = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+(\.\d+)?( ?([KMG]i?)?B\b)?", "#", line)
    line = re.sub(r"#(s)?\b", "#", line)
    return re.sub(r"[\s-]+", " ", line).strip()


def main():
    page = sys.argv[1]
    parts = read_page(page)
    commands = [part for part in parts if isinstance(part, tuple)]
    outputs = run(commands)
    failed = 0
    for (lines, wanted), (got, status) in zip(commands, outputs):
        if status != 0 or (sys.argv[2:] != ["--update"] and [masked(x) for x in wanted] != [masked(x) for x in got]):
            failed += 1
            print("\n".join(lines), f"    (status {status})", sep="\n")
            print("\n".join(difflib.unified_diff(wanted, got, "page", "now", lineterm="")))
    if sys.argv[2:] == ["--update"]:
        with open(page, "w", encoding="utf-8") as out:
            number = iter(outputs)
            for part in parts:
                out.write("\n".join(part[0] + next(number)[0] if isinstance(part, tuple) else [part]) + "\n")
    print(f"{len(commands)} commands, {failed} differ")
    return failed != 0


sys.exit(main())
