"""The README's pictures of speed and of accuracy, each for light and for dark pages.

`python bench/pictures.py` draws bench/results/{speed,accuracy}-{light,dark}.svg from compare.json, which compare.py has
written, and from tabular.jsonl, to which tabular.py adds its lines: the learners with their defaults on the first draw
of each set.
"""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from report import headlines
from tabular_report import mean_ranks

RESULTS = Path(__file__).with_name("results")
NETS = ("4-100-3", "64-100-10", "30-128-128-2", "784-100-10", "784-512-512-10")
PEERS = ("fastmlp", "JAX", "PyTorch")
LEARNERS = "TabularMLP CatBoost HistGradientBoosting LightGBM RandomForest XGBoost RealMLP-TD MLP".split()
WIDTH = 5.6  # inches, with letters of 10 points: legible on a telephone, which shows the picture smaller
NAMES = {"MLP": "MLP, one-hot", "RealMLP-TD": "RealMLP"}
# text, grid, ours, and the others from near to far
THEMES = {
    "light": ("#1f2328", "#d1d9e0", "#c2410c", ("#57606a", "#a3abb4")),
    "dark": ("#e6edf3", "#3d444d", "#fb923c", ("#9aa4af", "#59636e")),
}


@contextmanager
def drawing(name, theme, width, height):
    """A figure with the theme's colours on nothing; written as paths, the same bytes for the same results."""
    text, grid, *_ = THEMES[theme]
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), text)
    with rc_context(colours | {"axes.edgecolor": grid, "grid.color": grid, "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(RESULTS / f"{name}-{theme}.svg", transparent=True, metadata={"Date": None})


def bare(axes):
    """No frame and no ticks: bars with their numbers need neither."""
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def speed(theme):
    """Bars of training speed in float32, with scikit-learn at its better number of threads as 1."""
    results = json.loads((RESULTS / "compare.json").read_text())
    entries = {entry["net"]: headlines(entry) for entry in results["training"] if entry["dtype"] == "float32"}
    *_, ours, others = THEMES[theme]
    with drawing("speed", theme, WIDTH, 4.2) as figure:
        axes = figure.subplots()
        bare(axes)
        for i, (peer, colour) in enumerate(zip(PEERS, (ours, *others), strict=True)):
            speeds = [entries[net][peer]["times_scikit_learn"] for net in NETS]
            bars = axes.barh(np.arange(len(NETS)) + 0.27 * i, speeds, 0.25, label=peer, color=colour)
            axes.bar_label(bars, [f"{speed:.1f}" for speed in speeds], padding=3, fontsize=9)
        axes.axvline(1, color=THEMES[theme][0], linewidth=1, linestyle=(0, (3, 2)), label="scikit-learn = 1")
        axes.set_yticks(np.arange(len(NETS)) + 0.27, NETS)
        axes.set_xticks([])
        axes.invert_yaxis()
        axes.set_title("Training speed, times scikit-learn's (float32)", loc="left", fontsize=11)
        axes.legend(frameon=False, loc="lower right")


def defaults():
    """{(set, 0): {learner: line}} of the first draw of the sets that all learners have; of two lines the later one."""
    lines = [json.loads(line) for line in (RESULTS / "tabular.jsonl").read_text().splitlines()]
    found = {}
    for line in lines:
        if line["learner"] in LEARNERS and line["seed"] == 0:
            found.setdefault((line["set"], 0), {})[line["learner"]] = line
    return {key: learners for key, learners in found.items() if len(learners) == len(LEARNERS)}


def accuracy(theme):
    """Bars of mean ranks by error, the learners from the best to the worst."""
    results = defaults()
    *_, ours, others = THEMES[theme]
    with drawing("accuracy", theme, WIDTH, 5.4) as figure:
        for axes, task in zip(figure.subplots(2, 1), ("classification", "regression"), strict=True):
            bare(axes)
            of_task = {key: lines for key, lines in results.items() if lines["MLP"]["task"] == task}
            ranks = sorted(mean_ranks(of_task, LEARNERS).items(), key=lambda pair: pair[1])
            colours = [ours if name == "TabularMLP" else others[1] for name, _ in ranks]
            bars = axes.barh([NAMES.get(name, name) for name, _ in ranks], [rank for _, rank in ranks], color=colours)
            axes.bar_label(bars, [f"{rank:.1f}" for _, rank in ranks], padding=3, fontsize=9)
            axes.set_xticks([])
            axes.set_xlim(0, len(LEARNERS) + 0.5)
            axes.invert_yaxis()
            axes.set_title(f"Mean rank, {task}, {len(of_task)} sets (less is better)", loc="left", fontsize=11)


if __name__ == "__main__":
    for theme in THEMES:
        speed(theme)
        accuracy(theme)
