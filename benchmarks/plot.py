"""Draws what a benchmark wrote: plot.py bench_NAME.json OUT.svg. Curves if it has any, else bars by unit."""
import json
import pathlib
import sys

import matplotlib
matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402


def curves(axes, title, lines):
    for line in lines:
        points = sorted(map(tuple, line["points"]))
        axes.plot(*zip(*points), marker=".", label=line["label"])
    axes.set(title=title, xlabel="recall@10", ylabel="queries/s", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def bars(axes, unit, rows):
    axes.barh([row["what"] for row in rows], [row["value"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(unit or "ratio")
    axes.tick_params(axis="y", labelsize=7)


def main():
    told = json.loads(pathlib.Path(sys.argv[1]).read_text())
    groups = {}
    for thing, key in [(line, line["title"]) for line in told["curves"]] or [(row, row["unit"]) for row in told["rows"]]:
        groups.setdefault(key, []).append(thing)
    heights = [5 if told["curves"] else 0.8 + 0.25 * len(things) for things in groups.values()]
    figure, axes = pyplot.subplots(len(groups), squeeze=False, figsize=(10, sum(heights)), height_ratios=heights,
                                   layout="constrained")
    for axis, (key, things) in zip(axes[:, 0], groups.items()):
        (curves if told["curves"] else bars)(axis, key, things)
    machine = told["machine"]
    figure.suptitle(f"{machine['processor']}, {machine['cpus']} CPUs, {machine['time']}", fontsize=8)
    figure.savefig(sys.argv[2])


main()
