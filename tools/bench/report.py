"""Medians, ratios and goals from the rows of a benchmark, as text. The picture (plot.py) uses the same numbers."""
import math
import statistics

from allocators import PEER_NAMES
from workloads import REAL, SMALL, SYNTHETIC

HEADER = ("workload", "allocator", "repetition", "seconds", "rss_kib")

# The project's goals.
SYNTHETIC_TIME_GOAL = 0.90
SYNTHETIC_WORST_GOAL = 1.10
REAL_TIME_GOAL = 1.00
TIME_AGAINST_MIMALLOC_GOALS = [("cold-random", 0.60), ("producer-consumer", 0.60), ("larson", 0.75)]
RSS_GOALS = [("mimalloc", 0.85), ("glibc", 1.00)]
SMALL_GOALS_KIB = [("small-true", 200), ("small-ls", 200), ("small-python3", 500)]


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values)) if values else None


class Results:
    """Medians by workload and allocator. A pair without a successful run has none."""

    def __init__(self, rows, groups):
        """`rows` as in bench.tsv; `groups` maps every workload's name to its group, in the order to show."""
        self.groups = {name: group for name, group in groups.items() if any(row[0] == name for row in rows)}
        self.allocators = list(dict.fromkeys(row[1] for row in rows))
        self.repetitions = max((int(row[2]) for row in rows if groups.get(row[0]) != SMALL), default=0)
        collected = {}
        for workload, allocator, _, seconds, rss_kib in rows:
            collected.setdefault((workload, allocator), []).append((float(seconds), int(rss_kib)))
        self.seconds = {key: statistics.median(s for s, _ in runs) for key, runs in collected.items()}
        self.rss_kib = {key: statistics.median(r for _, r in runs) for key, runs in collected.items()}
        # How far apart the repetitions lie, as a share of the median: what a ratio cannot be trusted beyond.
        self.spread = {key: (max(s for s, _ in runs) - min(s for s, _ in runs)) / self.seconds[key]
                       for key, runs in collected.items() if len(runs) > 1 and self.seconds[key] > 0}

    def workloads(self, *groups):
        return [name for name, group in self.groups.items() if group in groups]

    def fastest_peer(self, workload):
        """The name of the fastest of Debian's peers on this workload, or None."""
        peers = [name for name in PEER_NAMES if (workload, name) in self.seconds]
        return min(peers, key=lambda name: self.seconds[workload, name], default=None)

    def ratio(self, values, workload, allocator, reference):
        """How `allocator` compares with `reference`; below 1 it is the better one. None without both."""
        ours, theirs = values.get((workload, allocator)), values.get((workload, reference))
        return ours / theirs if ours and theirs else None

    def time_ratio_to_fastest(self, workload, allocator="quarry"):
        return self.ratio(self.seconds, workload, allocator, self.fastest_peer(workload))

    def mean_ratio(self, values, reference, *groups):
        """The geometric mean of Quarry's ratios to one allocator, or to the fastest peer of each workload."""
        ratios = [self.time_ratio_to_fastest(name) if reference == "fastest"
                  else self.ratio(values, name, "quarry", reference) for name in self.workloads(*groups)]
        return geometric_mean([ratio for ratio in ratios if ratio])


def shown(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def columns(lines, numbers):
    """Lines of cells as text, each column as wide as it needs to be; those whose index is in `numbers` to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.rjust(width) if i in numbers else cell.ljust(width)
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines]


def table(head, lines):
    """The first column is text, the rest are numbers."""
    return columns([head, *lines], range(1, len(head)))


def medians_table(results, values, groups, digits):
    lines = [[name, *(shown(values.get((name, allocator)), digits) for allocator in results.allocators)]
             for name in results.workloads(*groups)]
    return table(["", *results.allocators], lines)


def ratio_table(results, values, groups, with_fastest):
    """Quarry's value divided by each other allocator's, with geometric means at the end."""
    others = [name for name in results.allocators if name != "quarry"]
    head = ["quarry divided by", *others] + (["fastest peer", "which", "spread"] if with_fastest else [])
    lines = []
    for name in results.workloads(*groups):
        line = [name, *(shown(results.ratio(values, name, "quarry", other), 2) for other in others)]
        if with_fastest:
            spread = results.spread.get((name, "quarry"))
            line += [shown(results.time_ratio_to_fastest(name), 2), results.fastest_peer(name) or "-",
                     "-" if spread is None else f"{spread:.0%}"]
        lines.append(line)
    mean = ["geometric mean", *(shown(results.mean_ratio(values, other, *groups), 2) for other in others)]
    if with_fastest:
        mean += [shown(results.mean_ratio(values, "fastest", *groups), 2), "", ""]
    return table(head, [*lines, mean])


class Goal:
    """One goal: what it says, what was measured (None: not measured), the limit, and how to print the numbers."""

    def __init__(self, text, value, limit, unit=""):
        self.text = text
        self.value = value
        self.limit = limit
        self.unit = unit

    def line(self):
        if self.value is None:
            return ["not measured", self.text, "-", f"<= {self.limit:g}{self.unit}"]
        verdict = "met" if self.value <= self.limit else "NOT MET"
        digits = 0 if self.unit else 3
        return [verdict, self.text, f"{self.value:.{digits}f}{self.unit}", f"<= {self.limit:g}{self.unit}"]


def goals(results):
    found = [Goal("time, synthetic, geometric mean against the fastest peer of each workload",
                  results.mean_ratio(results.seconds, "fastest", SYNTHETIC), SYNTHETIC_TIME_GOAL)]
    ratios = {name: results.time_ratio_to_fastest(name) for name in results.workloads(SYNTHETIC)}
    ratios = {name: ratio for name, ratio in ratios.items() if ratio}
    worst = max(ratios, key=ratios.get, default=None)
    over = sum(ratio > SYNTHETIC_WORST_GOAL for ratio in ratios.values())
    found.append(Goal(f"time, synthetic, the worst workload ({worst or 'none'}; {over} over the limit)",
                      ratios.get(worst), SYNTHETIC_WORST_GOAL))
    found.append(Goal("time, real programs, geometric mean against the fastest peer of each",
                      results.mean_ratio(results.seconds, "fastest", REAL), REAL_TIME_GOAL))
    for name, limit in TIME_AGAINST_MIMALLOC_GOALS:
        ratio = results.ratio(results.seconds, name, "quarry", "mimalloc")
        found.append(Goal(f"time, {name}, against mimalloc", ratio, limit))
    for peer, limit in RSS_GOALS:
        found.append(Goal(f"peak RSS, all workloads, geometric mean against {peer}",
                          results.mean_ratio(results.rss_kib, peer, SYNTHETIC, REAL), limit))
    for name, limit in SMALL_GOALS_KIB:
        ours, theirs = results.rss_kib.get((name, "quarry")), results.rss_kib.get((name, "glibc"))
        found.append(Goal(f"peak RSS, {name}, above glibc", ours - theirs if ours and theirs else None, limit, " KiB"))
    return found


def text(results, failures, missing, with_goals=True):
    """The whole report. The goals are for full-size runs."""
    lines = []

    def section(title, body):
        lines.extend(["", title, "-" * len(title), *body])

    for group, title in ((SYNTHETIC, "Synthetic workloads"), (REAL, "Real programs")):
        if not results.workloads(group):
            continue
        section(f"{title}: seconds, median of {results.repetitions}",
                medians_table(results, results.seconds, [group], 3))
        section(f"{title}: peak RSS in KiB, median", medians_table(results, results.rss_kib, [group], 0))
        if "quarry" in results.allocators:
            section(f"{title}: time ratios, below 1 Quarry is faster (spread: of Quarry's repetitions)",
                    ratio_table(results, results.seconds, [group], True))
            section(f"{title}: peak RSS ratios, below 1 Quarry is smaller",
                    ratio_table(results, results.rss_kib, [group], False))
    if results.workloads(SMALL):
        section("Small programs: peak RSS in KiB, median", medians_table(results, results.rss_kib, [SMALL], 0))
    if "quarry" in results.allocators and with_goals:
        section("Goals", columns([goal.line() for goal in goals(results)], [2]))
    if missing:
        section("Not there", missing)
    section("Failed runs", failures or ["none"])
    return "\n".join(lines[1:]) + "\n"


def read_rows(path):
    with open(path, encoding="ascii") as file:
        rows = [tuple(line.rstrip("\n").split("\t")) for line in file]
    if not rows or rows[0] != HEADER:
        raise SystemExit(f"{path} does not begin with the header of a benchmark: {' '.join(HEADER)}")
    return rows[1:]
