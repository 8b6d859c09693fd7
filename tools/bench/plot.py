"""The picture: for each workload, every allocator's time divided by that of the fastest peer, as grouped bars."""
import shutil
import subprocess

from workloads import REAL, SYNTHETIC

WORKLOADS_PER_PANEL = 11
CEILING = 2.5  # taller bars are cut there and say how tall they are
PANEL_HEIGHT = 270
WIDTH = 1200

# Quarry stands out, the rest is told apart by hue and lightness.
COLOURS = {"quarry": "#c8401e", "glibc": "#9aa0a6", "jemalloc": "#4f7cac", "mimalloc": "#6aa583", "tcmalloc": "#d9a441",
           "tbbmalloc": "#8f76a8"}
OTHER_COLOURS = ["#444444", "#b97a95", "#7d8c3c", "#3c8c8c"]


def quoted(text):
    """A string for gnuplot in which nothing has a special meaning."""
    return "'" + text.replace("'", "''") + "'"


def panels(results):
    """Titles with at most WORKLOADS_PER_PANEL workloads each, of nearly equal length."""
    found = []
    for group, title in ((SYNTHETIC, "Synthetic workloads"), (REAL, "Real programs")):
        names = [name for name in results.workloads(group) if results.fastest_peer(name)]
        count = -(-len(names) // WORKLOADS_PER_PANEL)
        for i in range(count):
            part = names[i * len(names) // count:(i + 1) * len(names) // count]
            found.append((title if i == 0 else "", part))
    return found


def panel_script(results, title, names, index, first):
    """gnuplot's commands for one panel. Each allocator is a series of boxes beside those of the others."""
    allocators = results.allocators
    box = 0.84 / len(allocators)
    data, labels, plots = [], [], []
    for a, allocator in enumerate(allocators):
        rows = []
        for w, name in enumerate(names):
            ratio = results.time_ratio_to_fastest(name, allocator)
            if ratio is None:
                continue
            x = w + (a - (len(allocators) - 1) / 2) * box
            rows.append(f"{x:.4f} {min(ratio, CEILING):.4f}")
            if ratio > CEILING:
                labels.append(f"set label '{ratio:.1f}' at {x:.4f},{CEILING - 0.05} rotate by 90 right noenhanced "
                              "front font ',9' textcolor rgb 'white'")
        data.append(f"$panel{index}_{a} << EOD\n" + "\n".join(rows or ["NaN NaN"]) + "\nEOD")
        colour = COLOURS.get(allocator) or OTHER_COLOURS[a % len(OTHER_COLOURS)]
        plots.append(f"$panel{index}_{a} using 1:2 with boxes fillstyle solid 1 noborder linecolor rgb '{colour}' "
                     f"title {quoted(allocator)} noenhanced")
    tics = ", ".join(f"{quoted(name)} {w}" for w, name in enumerate(names))
    return "\n".join([
        *data, "unset label", *labels,
        f"set label {quoted(title)} at graph 0, graph 1.1 left font ',13'",
        f"set xrange [-0.6:{max(len(names), 4) - 0.4}]",
        f"set xtics ({tics}) noenhanced nomirror scale 0 font ',11' textcolor rgb '#202020'",
        f"set boxwidth {box * 0.94:.4f}",
        "set key at graph 1, graph 1.16 right horizontal font ',12' samplen 1.2" if first else "unset key",
        "plot " + ", ".join(plots) + ", 1 with lines linecolor rgb '#202020' linewidth 1 notitle",
    ])


def draw(results, path):
    """Writes the SVG; returns a line that says why when it cannot."""
    parts = panels(results)
    if not parts:
        return "no picture: there is no peer to compare with"
    if not shutil.which("gnuplot"):
        return "no picture: gnuplot is not installed (Debian: apt-get install gnuplot-nox)"
    script = [
        f"set terminal svg size {WIDTH},{PANEL_HEIGHT * len(parts) + 60} font 'Helvetica,12' background '#ffffff'",
        f"set output {quoted(str(path))}", f"set yrange [0:{CEILING}]", "set ytics 0.5 nomirror font ',11'",
        "set ylabel 'time / fastest peer' font ',11'", "set grid ytics linecolor rgb '#dddddd'",
        "set border 3 linecolor rgb '#808080'",
        "set lmargin 9", "set rmargin 2", "set bmargin 2.2", "set tmargin 3.2",
        f"set multiplot layout {len(parts)},1 title "
        "'Time relative to the fastest peer of each workload (shorter is better)' font ',16' noenhanced",
        *(panel_script(results, title, names, i, i == 0) for i, (title, names) in enumerate(parts)),
        "unset multiplot",
    ]
    run = subprocess.run(["gnuplot"], input="\n".join(script) + "\n", capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return f"no picture: gnuplot says {run.stderr.strip()[-300:]}"
    return None
