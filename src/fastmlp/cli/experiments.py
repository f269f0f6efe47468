"""The commands for experiments: run, sweep, reproduce."""

import json
import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np

from ..tracking.callback import reason_of
from .arguments import command, count, json_option, runs_option, size
from .experiment import ExperimentError, naming_lines, read_experiment
from .files import WriteError
from .recording import quiet_mlflow
from .reproducing import data_of, refuse_other_code, reproduce
from .runs import Run, find_folder, open_run, train
from .sweeping import Sweep, conduct, open_sweep

__all__ = ["add"]


def add(subparsers):
    """Add the commands to the parser of ``fastmlp``."""
    run = command(
        subparsers, "run", _run, "train and score what a file describes, and keep all that is known of it",
        "fastmlp run experiment.toml", "fastmlp run experiment.toml -P alpha=0.01 -P splits.folds=3",
    )  # fmt: skip
    _experiment(run)
    json_option(run)
    sweep = command(
        subparsers, "sweep", _sweep, "run an experiment for many sets of parameters from its search space",
        "fastmlp sweep experiment.toml --workers 2", "fastmlp sweep experiment.toml --dask tcp://scheduler:8786",
    )  # fmt: skip
    _experiment(sweep)
    sweep.add_argument("--workers", type=count, default=1, metavar="N", help="processes; default: %(default)s")
    json_option(sweep)
    sweep.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster whose machines share the folders")
    again = command(
        subparsers, "reproduce", _reproduce, "train a run again and say whether it comes to the same bits",
        "fastmlp reproduce wine-1f0c2a9b", "fastmlp reproduce ./a-colleagues-run --data wine.csv",
        "fastmlp reproduce wine-sweep-8d11a07e --all",
    )  # fmt: skip
    again.add_argument(
        "which", metavar="RUN", help="folder of a run or sweep, or its name among the runs, or how that begins"
    )
    again.add_argument("--data", metavar="FILE", help="the table, if it is not where it was")
    again.add_argument("--all", action="store_true", help="of a sweep all runs, not the best alone")
    again.add_argument("--here", action="store_true", help="use this environment, whatever versions were recorded")
    runs_option(again)


def _experiment(parser):
    parser.add_argument("experiment", help="TOML file")
    parser.add_argument(
        "-P", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a parameter of the estimator, or a key such as splits.folds, in place of that in the file",
    )  # fmt: skip
    parser.add_argument("--data", metavar="FILE", help="the table, in place of data.path")
    parser.add_argument(
        "--keep-data", type=size, default=size("64"), metavar="MIB",
        help="copy data up to this size into the folder of a run, to hand it on; default: 64, 0 for none",
    )  # fmt: skip
    parser.add_argument("--no-mlflow", action="store_true", help="record in the folder of runs alone")
    parser.add_argument("--quiet", "-q", action="store_true", help="print no progress")
    runs_option(parser)


def _teller(args):
    return (lambda line: None) if args.quiet else (lambda line: print(line, file=sys.stderr, flush=True))


@contextmanager
def _said_to_be_kept():
    try:
        yield
    except WriteError as error:
        raise WriteError(f"{error} What is done is kept, and the same command goes on.") from error


def _run(args):
    experiment = read_experiment(args.experiment, args.overrides)
    experiment.pop("search", None)
    tell = _teller(args)
    complaint = None
    with naming_lines(args.experiment, args.overrides), _said_to_be_kept():
        run = open_run(experiment, os.path.dirname(args.experiment), args.runs, args.data, args.keep_data)
        if run.finished:
            tell(f"{run.name} is done already; remove {run.folder} to train it again")
        else:
            if run.state["folds"]:
                tell(f"{run.name} goes on after {len(run.state['folds'])} folds")
            complaint = train(run, tell, not args.no_mlflow)
    means = {}
    for metric in run.metrics():
        scores = run.scores(metric)
        means[metric] = [float(np.mean(scores)), float(np.std(scores))]
    if args.json:
        print(json.dumps({"run": run.name, "folder": str(run.folder), "scores": means} | run.state["model"]))
    else:
        print(f"{run.name}: " + ", ".join(f"{name} {mean:.4g} ± {std:.2g}" for name, (mean, std) in means.items()))
        print(f"digest {run.state['model']['digest']}, in {run.folder}")
    if complaint is not None:
        print(f"fastmlp: the run is in {run.folder}, but MLflow did not record it: {complaint}", file=sys.stderr)
        return 1
    return 0


def _sweep(args):
    experiment = read_experiment(args.experiment, args.overrides)
    base = os.path.abspath(os.path.dirname(args.experiment))
    with naming_lines(args.experiment, args.overrides):
        sweep = open_sweep(experiment, base, os.path.abspath(args.runs), args.data)
    tracking_uri, lost = (None, False) if args.no_mlflow else _database(experiment["name"])
    try:
        with _said_to_be_kept():
            complaints = conduct(sweep, _teller(args), args.workers, args.dask, tracking_uri, args.keep_data)
    except KeyboardInterrupt:
        print(f"{sweep.name} goes on with the same command", file=sys.stderr)
        raise
    best = sweep.best
    if args.json:
        print(json.dumps({"sweep": sweep.name, "folder": str(sweep.folder), "best": best} | sweep.summary()))
    elif best is not None:
        shown = f"best: {best['run']}, {sweep.state['metric']} {best['score']:.4g}"
        print(f"{shown}; {len(sweep.runs)} runs of {sweep.name} in {args.runs}")
    if complaints:
        print(f"fastmlp: {len(complaints)} trials went wrong; {complaints[0]}", file=sys.stderr)
    return int(bool(complaints) or lost)


def _database(name):
    """The address where MLflow records, with its tables made before processes start, and whether it refuses to."""
    if not (find_spec("mlflow") and find_spec("sqlalchemy")):
        return None, False
    from ..tracking import MLflowCallback

    callback = MLflowCallback(name)
    try:
        with quiet_mlflow():
            callback.prepare()
    except Exception as error:  # of the database, the server, the disk: each trial would wait for it again
        print(f"fastmlp: the runs are not recorded in MLflow: {reason_of(error)}", file=sys.stderr)
        return None, True
    return callback.tracking_uri, False


def _reproduce(args):
    found = find_folder(args.which, args.runs, "run.json", "sweep.json")
    if not (found / "sweep.json").exists():
        if args.all:
            raise ExperimentError(f"--all is for sweeps, and {found} is a run.")
        return reproduce(Run(found), args.data, args.here, print)
    sweep = Sweep(found)
    if not sweep.finished:
        print(f"{sweep.name} was interrupted after {len(sweep.state['trials'])} trials and goes on")
        refuse_other_code(sweep)
        sweep.state["data"]["path"] = data_of(sweep, args.data)
        if conduct(sweep, print):
            return 1
    codes = []
    for name in sweep.runs if args.all else sweep.runs[:1]:
        print(f"{name}:", end=" ", flush=True)
        codes.append(reproduce(sweep.run(name), args.data, args.here, print))
    return max(codes)
