"""The commands that look at runs: runs, compare, report."""

import io
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from ..estimators.parameters import did_you_mean
from ..training.disk import replace_file
from .arguments import command, json_option, runs_option
from .experiment import ExperimentError
from .files import writing
from .report import page, shown
from .runs import Run, find_run, names_of_curves

__all__ = ["add", "corrected_t_test"]


def add(subparsers):
    """Add the commands to the parser of ``fastmlp``."""
    runs = command(
        subparsers, "runs", _runs, "list the runs, the best first, with what differs between them",
        "fastmlp runs", "fastmlp runs --metric neg_log_loss --json",
    )  # fmt: skip
    compare = command(
        subparsers, "compare", _compare, "say what differs between two runs, and whether it is more than noise",
        "fastmlp compare wine-1f0c2a9b wine-8d11a07e -o curves.png",
    )  # fmt: skip
    compare.add_argument("a", metavar="A", help="folder of a run, or its name among the runs, or how that begins")
    compare.add_argument("b", metavar="B")
    compare.add_argument("--output", "-o", metavar="FILE", help="picture of the curves of both")
    report = command(
        subparsers, "report", _report, "write a page with all runs: scores, parameters, curves, time",
        "fastmlp report -o report.html",
    )  # fmt: skip
    report.add_argument("--output", "-o", default="report.html", metavar="FILE", help="default: %(default)s")
    for parser in (runs, compare, report):
        runs_option(parser)
        parser.add_argument("--metric", metavar="NAME", help="score to go by; default: the first of the experiment")
    json_option(runs)
    json_option(compare)


def _metric(runs, given):
    """The score to go by: the given one, or the first of the first run."""
    known = list(dict.fromkeys(metric for run in runs for metric in run.metrics()))
    if given is not None and given not in known:
        raise ExperimentError(f"No run has the score {given!r}{did_you_mean(given, known)}")
    return given or next(iter(known), None)


def _ranked(folder, given):
    """The runs of a folder, the best first, and the score that they are ranked by; unscored ones are last."""
    runs = [Run(path.parent) for path in sorted(Path(folder).glob("*/run.json"))]
    if not runs:
        raise ExperimentError(f"{folder} has no runs. `fastmlp run experiment.toml` makes one.")
    metric = _metric(runs, given)
    scored = [run for run in runs if metric in run.metrics()]
    ranked = sorted(scored, key=lambda run: -run.scores(metric).mean())
    return ranked + [run for run in runs if run not in scored], metric


def differing(runs):
    """Names of what the experiments of runs set to different values, "-" for what one does not set."""
    params = [run.params() for run in runs]
    names = dict.fromkeys(name for of_run in params for name in of_run)
    return [name for name in names if len({repr(of_run.get(name, "-")) for of_run in params}) > 1]


def _runs(args):
    runs, metric = _ranked(args.runs, args.metric)
    names = differing(runs)
    rows = []
    for run in runs:
        scores = run.scores(metric) if metric in run.metrics() else np.array([])
        params = run.params()
        row = {"run": run.name, "state": "done" if run.finished else "interrupted"}
        score, std = (float(scores.mean()), float(scores.std())) if len(scores) else (None, None)
        row |= {"score": score, "std": std}
        row |= {"folds": len(scores), "seconds": round(run.seconds, 1)}
        rows.append(row | {"params": {name: params.get(name, "-") for name in names}})
    if args.json:
        print(json.dumps({"metric": metric, "runs": rows}))
        return 0
    heading = ["run", metric or "score", "folds", "seconds", *names]
    lines = []
    for row in rows:
        score = "-" if row["score"] is None else f"{row['score']:.4f} ± {row['std']:.4f}"
        name = row["run"] + ("" if row["state"] == "done" else " (interrupted)")
        lines.append([name, score, row["folds"], row["seconds"], *map(shown, row["params"].values())])
    _print_table(heading, [[str(value) for value in line] for line in lines])
    return 0


def _print_table(heading, lines):
    if sys.stdout.isatty() and find_spec("rich") is not None:
        from rich.console import Console
        from rich.table import Table

        table = Table(*heading)
        for line in lines:
            table.add_row(*line)
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(heading, *lines, strict=True)]
    for line in [heading, *lines]:
        print("  ".join(f"{value:<{width}}" for value, width in zip(line, widths, strict=True)).rstrip())


def corrected_t_test(differences, n_train, n_test):
    """The corrected resampled t-test of Nadeau and Bengio (2003).

    Parameters
    ----------
    differences : ndarray of shape (n_fits,)
        Of two models' scores on the same held-out rows, one for each fold and seed.
    n_train, n_test : float
        Rows of a fold that are trained on, and that are held out.

    Returns
    -------
    t : float
    p : float
        Two-sided. The variance counts 1/n_fits + n_test/n_train times, since the training rows of folds overlap.

    References
    ----------
    Nadeau, Bengio: Inference for the Generalization Error. Machine Learning 52, 2003.
    """
    n = len(differences)
    scale = np.sqrt((1 / n + n_test / n_train) * np.var(differences, ddof=1))
    if scale == 0:
        return (0.0, 1.0) if differences[0] == 0 else (float(np.copysign(np.inf, differences[0])), 0.0)
    t = float(differences.mean() / scale)
    return t, float(2 * student.sf(abs(t), n - 1))


def _compare(args):
    a, b = (find_run(name, args.runs) for name in (args.a, args.b))
    metric = _metric([a, b], args.metric)
    shared = sorted(set(a.state["folds"]) & set(b.state["folds"]))
    splits = [run.state["experiment"]["splits"] for run in (a, b)]
    if a.state["data"]["hash"] != b.state["data"]["hash"] or splits[0] != splits[1]:
        raise ExperimentError(f"{a.name} and {b.name} cannot be paired: their data or their splits are not the same.")
    if len(shared) < 2 or metric not in a.metrics() or metric not in b.metrics():
        raise ExperimentError(f"{a.name} and {b.name} have fewer than two folds with the same score in common.")
    scores = np.array([[run.state["folds"][key]["scores"][metric] for key in shared] for run in (a, b)])
    n_train, n_test = np.mean([a.state["folds"][key]["rows"] for key in shared], axis=0)
    t, p = corrected_t_test(scores[1] - scores[0], n_train, n_test)
    params = {name: [run.params().get(name, "-") for run in (a, b)] for name in differing([a, b])}
    if args.output is not None:
        _draw_curves(args.output, (a, b))
    if args.json:
        means = scores.mean(axis=1).tolist()
        print(json.dumps({"metric": metric, "means": means, "t": t, "p": p, "folds": len(shared), "params": params}))
        return 0
    for name, (before, after) in params.items():
        print(f"{name}: {before} -> {after}")
    for run, of_run in zip((a, b), scores, strict=True):
        print(f"{run.name}: {metric} {of_run.mean():.4f} ± {of_run.std():.4f}")
    said = "more than noise" if p < 0.05 else "no more than noise"
    difference = np.mean(scores[1] - scores[0])
    print(f"difference {difference:+.4f} over {len(shared)} fits, p = {p:.3g}: {said} at the 5 % level")
    return 0


def _draw_curves(path, runs):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('A picture needs matplotlib: pip install "fastmlp[plot]".') from error
    figure = Figure(figsize=(8, 4), layout="constrained")
    names = names_of_curves(runs)
    if not names:
        raise ExperimentError("Neither run has curves: its estimator does not train by epochs.")
    for axes, name in zip(np.ravel(figure.subplots(1, len(names))), names, strict=True):
        for color, run in zip(("#0072B2", "#D55E00"), runs, strict=True):
            label = run.name
            for fold in run.state["folds"].values():
                axes.plot(fold["curves"].get(name, ()), color=color, linewidth=1, alpha=0.7, label=label)
                label = "_"
        axes.set(xlabel="Epoch", ylabel=name.capitalize())
        axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix[1:] or "png")
    with writing(path):
        replace_file(path, lambda file: file.write(content.getvalue()))


def _report(args):
    runs, metric = _ranked(args.runs, args.metric)
    text = page([run for run in runs if metric in run.metrics()], metric, differing(runs))
    with writing(args.output):
        replace_file(args.output, lambda file: file.write(text.encode()))
    print(f"{len(runs)} runs, written to {args.output}")
    return 0
