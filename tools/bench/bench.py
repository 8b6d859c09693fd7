#!/usr/bin/env python3
"""Runs the workloads under every allocator in turn and reports medians, ratios, peak RSS and whether the goals are met.

Settings are NAME=VALUE arguments or environment variables, as after `make bench`; see README.md beside this file.
"""
import argparse
import fnmatch
import os
import statistics
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # the source tree may be read-only, and stays clean
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
import plot  # noqa: E402
import report  # noqa: E402
from allocators import Prober, find_allocators  # noqa: E402
from measure import Launcher, Programs, RunFailed, SOURCES  # noqa: E402
from workloads import SYNTHETIC, all_workloads  # noqa: E402

SETTINGS = ("WORKLOADS", "ALLOCATORS", "REPS", "SCALE", "QUARRY_LIB", "QUARRY_BENCH_PEERS")
SMOKE_SCALE = 0.02


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="settings: " + ", ".join(SETTINGS))
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--build-dir", default=str(SOURCES.parent.parent / "build"),
                        help="where the library is and the results go (default: build/ of this source tree)")
    parser.add_argument("--smoke", action="store_true",
                        help="a quick check: tiny scale, one repetition, synthetic workloads, Quarry and glibc")
    parser.add_argument("--list", action="store_true", help="list the workloads and the allocators, run nothing")
    parser.add_argument("--report", metavar="TSV", help="report on an earlier run's bench.tsv, run nothing")
    parser.add_argument("--time-limit", type=float, default=300, help="seconds before a run is ended as failed")
    options = parser.parse_args()

    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    for argument in options.settings:
        name, separator, value = argument.partition("=")
        if not separator or name not in SETTINGS:
            parser.error(f"unknown setting {argument!r}; there are {', '.join(SETTINGS)}")
        settings[name] = value
    options.workloads = settings["WORKLOADS"].split()
    options.allocators = settings["ALLOCATORS"].split()
    options.quarry_library = settings["QUARRY_LIB"] or os.path.join(options.build_dir, ".libs", "libquarry.so")
    options.peers = settings["QUARRY_BENCH_PEERS"]
    try:
        options.repetitions = int(settings["REPS"] or (1 if options.smoke else 5))
        options.scale = float(settings["SCALE"] or (SMOKE_SCALE if options.smoke else 1))
    except ValueError as error:
        parser.error(str(error))
    if options.repetitions < 1 or not options.scale > 0:
        parser.error("REPS must be at least 1 and SCALE above 0")
    if options.smoke and not options.allocators:
        options.allocators = ["quarry", "glibc"]
    return parser, options


def choose(parser, items, patterns, what):
    """The items whose name matches one of the names or globs; all of them without any."""
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(item.name, pattern) for item in items):
            parser.error(f"no {what} matches {pattern!r}; there are {', '.join(item.name for item in items)}")
    return [item for item in items if not patterns or any(fnmatch.fnmatchcase(item.name, p) for p in patterns)]


def choose_workloads(parser, options, workloads):
    if options.smoke:
        workloads = [workload for workload in workloads if workload.group == SYNTHETIC]
    # A group's name stands for its members.
    patterns = []
    for pattern in options.workloads:
        members = [w.name for w in workloads if pattern in (w.group, w.group + "-programs")]
        patterns.extend(members or [pattern])
    return choose(parser, workloads, patterns, "workload")


class Benchmark:
    """The measuring itself: every workload, repetition and allocator, with the rows written as they come."""

    def __init__(self, launcher, allocators, options):
        self.launcher = launcher
        self.prober = Prober(launcher)
        self.options = options
        self.failures = []
        self.missing = []
        self.rows = []
        self.allocators = [allocator for allocator in allocators if self.works(allocator)]

    def fail(self, what, error):
        self.failures.append(f"{what}: {error}")
        print(f"\n  FAILED {what}: {error}", file=sys.stderr, flush=True)

    def works(self, allocator):
        try:
            self.prober.check(allocator)
            return True
        except RunFailed as error:
            self.fail(allocator.name, error)
            return False

    def libraries(self, workload):
        """What to preload for each allocator, without those under which the program does not run."""
        found = {}
        for allocator in self.allocators:
            try:
                found[allocator] = workload.library(self.prober, allocator)
            except RunFailed as error:
                self.fail(f"{workload.name} with {allocator.name}", error)
        return found

    def measure(self, workload, output):
        """Interleaved: in each repetition every allocator takes its turn, and the one that begins changes, so that a
        machine that becomes slower does so for all."""
        libraries = self.libraries(workload)
        seconds = {}
        for repetition in range(workload.repetitions or self.options.repetitions):
            shift = repetition % max(1, len(self.allocators))
            for allocator in self.allocators[shift:] + self.allocators[:shift]:
                if allocator not in libraries:
                    continue
                try:
                    result = workload.run(self.launcher, libraries[allocator], self.options.scale)
                except RunFailed as error:
                    self.fail(f"{workload.name} with {allocator.name}, repetition {repetition + 1}", error)
                    if "still running" in str(error):
                        del libraries[allocator]  # a hang costs the time limit once, not in every repetition
                    continue
                row = (workload.name, allocator.name, str(repetition + 1), f"{result.seconds:.6f}", str(result.rss_kib))
                self.rows.append(row)
                seconds.setdefault(allocator.name, []).append(result.seconds)
                print("\t".join(row), file=output, flush=True)
        print("  " + "  ".join(f"{name} {statistics.median(runs):.3f}" for name, runs in seconds.items()), flush=True)

    def run(self, workloads, path):
        # The fastest way to lose a long run is to keep it in memory until the end.
        with open(path, "w", encoding="ascii") as output:
            print("\t".join(report.HEADER), file=output)
            for number, workload in enumerate(workloads, 1):
                missing = workload.missing()
                if missing:
                    self.missing.append(f"{workload.name}: {missing} is not installed")
                    continue
                print(f"[{number}/{len(workloads)}] {workload.name}: {workload.summary}", flush=True)
                try:
                    workload.prepare(self.launcher, self.options.scale)
                    self.measure(workload, output)
                except OSError as error:
                    self.fail(workload.name, error)


def publish(results, failures, missing, folder, scale=1):
    """Prints the report and writes it beside the picture."""
    text = report.text(results, failures, missing, with_goals=scale >= 1)
    (folder / "bench.txt").write_text(text, encoding="utf-8")
    print("\n" + text)
    problem = plot.draw(results, folder / "bench.svg")
    print(problem or f"picture: {folder / 'bench.svg'}")


def main():
    parser, options = parse_arguments()
    folder = Path(options.build_dir).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    programs = Programs(folder / "tools" / "bench")
    workloads = all_workloads(programs)
    groups = {workload.name: workload.group for workload in workloads}

    if options.report:
        results = report.Results(report.read_rows(options.report), groups)
        publish(results, ["not known: this is an earlier run's file"], [], folder)
        return 0

    allocators, missing = find_allocators(options.quarry_library, options.peers)
    if options.list:
        for workload in workloads:
            print(f"{workload.group:10} {workload.name:18} {workload.summary}")
        for allocator in allocators:
            print(f"{'allocator':10} {allocator.name:18} {allocator.library or 'the C library'}")
        print("\n".join(missing))
        return 0
    if not any(a.name == "quarry" for a in allocators) and (not options.allocators or "quarry" in options.allocators):
        parser.error(f"{missing[0]}; build it (tools/build), or name the allocators to compare with ALLOCATORS=…")
    allocators = choose(parser, allocators, options.allocators, "allocator")
    workloads = choose_workloads(parser, options, workloads)

    started = time.monotonic()
    launcher = Launcher(programs, options.time_limit)
    try:
        benchmark = Benchmark(launcher, allocators, options)
        names = ", ".join(allocator.name for allocator in benchmark.allocators)
        print(f"{len(workloads)} workloads, {options.repetitions} repetitions, scale {options.scale:g}: {names}")
        benchmark.run(workloads, folder / "bench.tsv")
    finally:
        launcher.close()
    if not options.allocators:
        benchmark.missing += missing
    publish(report.Results(benchmark.rows, groups), benchmark.failures, benchmark.missing, folder, options.scale)
    print(f"numbers: {folder / 'bench.tsv'}, report: {folder / 'bench.txt'}; {time.monotonic() - started:.0f} s")
    return 1 if benchmark.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
