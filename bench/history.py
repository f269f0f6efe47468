"""Speed over time: `python bench/history.py` draws bench/results/history-{light,dark}.svg from gate.jsonl.

The file has a line for a commit, with ratios to scikit-learn within one process, and is only added to:
`python bench/gate.py --record bench/results/gate.jsonl`. Its first lines are the float32 trainings in
compare.json as of these commits. Points of a busy machine, on which more programs waited than it has cores, are hollow.
"""

import json
from itertools import groupby

from pictures import RESULTS, THEMES, WIDTH, drawing

MARKERS = "osD^v"


def history(theme):
    lines = [json.loads(line) for line in (RESULTS / "gate.jsonl").read_text().splitlines()]
    _, _, ours, others = THEMES[theme]
    with drawing("history", theme, WIDTH, 3.6) as figure:
        axes = figure.subplots()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for i, (net, marker) in enumerate(zip(lines[0]["ratios"], MARKERS, strict=True)):
            colour = (ours, *others)[i % 3]
            points = [(at, line["ratios"][net], line["load"]) for at, line in enumerate(lines) if net in line["ratios"]]
            for _, on_one in groupby(points, key=lambda point: lines[point[0]]["cpu"]):  # ratios differ by processor
                axes.plot(*zip(*[(at, ratio) for at, ratio, _ in on_one], strict=True), color=colour, linewidth=1)
            for at, ratio, load in points:
                busy = load is not None and load > lines[at]["cores"]
                axes.plot(at, ratio, marker, color=colour, markerfacecolor="none" if busy else colour)
            axes.annotate(net, points[-1][:2], xytext=(8, 0), textcoords="offset points", va="center", fontsize=9)
        for cpu, on_one in groupby(range(len(lines)), key=lambda at: lines[at]["cpu"]):
            axes.annotate(cpu, (next(on_one) - 0.25, 18), fontsize=9)
        axes.set_xticks(range(len(lines)), [f"{line['commit']}\n{line['date'][5:]}" for line in lines], fontsize=8)
        axes.set_xlim(-0.3, len(lines) + 0.2)
        axes.set_yscale("log")
        axes.set_yticks([2, 5, 10, 20], ["2", "5", "10", "20"])
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.set_title("Training speed by commit, times scikit-learn (float32)", loc="left", fontsize=11)


if __name__ == "__main__":
    for theme in THEMES:
        history(theme)
