"""The table of tabular.py: mean ranks, errors related to one learner's, and seconds, for each part of the sets."""

from collections import defaultdict

import numpy as np
from report import table
from scipy.stats import rankdata
from tabular_sets import PARTS, TITLES

SHIFT = 0.01  # of the geometric mean of errors, which may be 0; as in the RealMLP paper (arXiv:2407.04491)
TASKS = {"classification": ("classification",), "regression": ("regression",), "both": ("classification", "regression")}


def write(results, names, chosen, trusted):
    """The whole text. `results` is {(set, seed): {learner: line}}; trusted(line) says whether its times count."""
    results = {key: {name: lines[name] for name in names if name in lines} for key, lines in results.items()}
    text = [_head(results, names, chosen)]
    parts = defaultdict(dict)
    for (name, seed), lines in results.items():
        parts[PARTS.get(name, "other")][name, seed] = lines
    for part in [part for part in TITLES if part in parts]:
        text += [f"## {TITLES[part]}\n", _summary(parts[part], names, chosen.reference, trusted)]
    if len(parts) > 1:
        text += ["## All sets\n", _summary(results, names, chosen.reference, trusted)]
    text += ["## Each set\n", "Error in percent: of classes, or RMSE over the target's standard deviation.\n"]
    text += [_each(results, names, lambda lines: f"{100 * np.mean([line['error'] for line in lines]):.2f}")]
    text += ["Seconds of a fit.\n", _each(results, names, lambda lines: _seconds(*_times(lines, "fit_s", trusted)))]
    return "\n".join(text)


def _head(results, names, chosen):
    lines = [line for found in results.values() for line in found.values()]
    versions = {name: {} for name in names}  # those of the lines, in their order
    for line in lines:
        versions[line["learner"]][line["version"]] = None
    learners = ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items() if found)
    cpus = sorted({line["cpu"] for line in lines})
    return (
        f"`python bench/tabular.py`: {learners}; "
        f"{', '.join(cpus)}. At most {chosen.rows} training rows and {chosen.test_rows} test rows, drawn by up to "
        f"{chosen.seeds} seeds; seconds with {chosen.threads} threads, those after ~ not measured alone on the machine "
        "or with other threads.\n\n"
        "Rank: 1 is the best; mean over the draws that all ranked learners have, each set counting once. Learners with "
        "results on less than half of the sets are not ranked. Error, log loss: by how many percent the geometric "
        f"mean over sets, shifted by {SHIFT}, is above {chosen.reference}'s over the same draws. Prediction: seconds "
        "of 10,000 rows.\n"
    )


def _summary(results, names, reference, trusted):
    """One part of the sets: a row for each learner, best mean rank first."""
    counts = {name: sum(name in lines for lines in results.values()) for name in names}
    sets = {name: sum(any(name in lines for lines in draws) for draws in _by_set(results).values()) for name in names}
    ranked = [name for name in names if sets[name] * 2 >= max(sets.values())]
    common = {key: lines for key, lines in results.items() if all(name in lines for name in ranked)}
    columns, ranks = {"fits": {name: str(counts[name]) for name in names}}, {}
    for title, tasks in TASKS.items():
        ranks[title] = mean_ranks(_of(common, tasks), ranked)
        columns[f"rank, {title}"] = {name: f"{rank:.2f}" for name, rank in ranks[title].items()}
        if title != "both":
            columns[f"error, {title}"] = _related(_of(results, tasks), names, "error", reference)
    if not (ranks["classification"] and ranks["regression"]):
        del columns["rank, both"]
    columns["log loss"] = _related(_of(results, ("classification",)), names, "log_loss", reference)
    columns["AUC"] = _mean_auc(_of(common, ("classification",)), ranked)
    columns["fit s"] = _mean_seconds(common, ranked, "fit_s", trusted)
    columns["predict s"] = _mean_seconds(common, ranked, "predict_s", trusted)
    columns = {title: cells for title, cells in columns.items() if cells}
    order = sorted(filter(counts.get, names), key=lambda name: ranks["both"].get(name, np.inf))
    rows = [[name, *(cells.get(name, "") for cells in columns.values())] for name in order]
    return table(["learner", *columns], rows)


def _of(results, tasks):
    """The draws of the sets of some tasks."""
    return {key: lines for key, lines in results.items() if any(line["task"] in tasks for line in lines.values())}


def _by_set(results):
    """{set: the draws' lines}."""
    sets = defaultdict(list)
    for (name, _), lines in results.items():
        sets[name].append(lines)
    return sets


def mean_ranks(results, names):
    """Mean rank of each learner: over the draws of a set, then over sets."""
    means = [
        np.mean([rankdata([lines[name]["error"] for name in names]) for lines in draws], axis=0)
        for draws in _by_set(results).values()
    ]
    return dict(zip(names, np.mean(means, axis=0), strict=True)) if means else {}


def _related(results, names, measure, reference):
    """How far each learner is above the reference, in percent of the shifted geometric mean over sets."""
    cells = {}
    for name in names:
        logs = []
        for draws in _by_set(results).values():
            shared = [(lines[name], lines[reference]) for lines in draws if name in lines and reference in lines]
            if shared:
                ours, theirs = np.mean([[line[measure] for line in pair] for pair in shared], axis=0)
                logs.append(np.log((ours + SHIFT) / (theirs + SHIFT)))
        if logs:
            cells[name] = f"{100 * np.expm1(np.mean(logs)):+.1f} %"
    return cells


def _mean_auc(results, names):
    sets = _by_set(results).values()
    means = {name: [np.mean([lines[name]["auc"] for lines in draws]) for draws in sets] for name in names}
    return {name: f"{np.mean(values):.4f}" for name, values in means.items() if values}


def _times(lines, what, trusted):
    """The median of one learner's seconds on a set (of predictions: for 10,000 rows), and whether they count."""
    believed = [line for line in lines if trusted(line)]
    seconds = [line[what] * (1e4 / line["n_test"] if what == "predict_s" else 1) for line in believed or lines]
    return float(np.median(seconds)), bool(believed)


def _mean_seconds(results, names, what, trusted):
    cells = {}
    for name in names:
        found = [_times([lines[name] for lines in draws], what, trusted) for draws in _by_set(results).values()]
        if found:
            cells[name] = _seconds(np.mean([seconds for seconds, _ in found]), all(alone for _, alone in found))
    return cells


def _seconds(seconds, alone):
    return ("" if alone else "~") + (f"{seconds:.3f}" if seconds < 1 else f"{seconds:.3g}")


def _each(results, names, cell):
    """A row for each set, a column for each learner; cell(lines) is what stands there."""
    names = [name for name in names if any(name in lines for lines in results.values())]
    rows = []
    for set_name, draws in _by_set(results).items():
        found = {name: [lines[name] for lines in draws if name in lines] for name in names}
        rows.append([set_name, *(cell(lines) if lines else "" for lines in found.values())])
    return table(["set", *names], rows)
