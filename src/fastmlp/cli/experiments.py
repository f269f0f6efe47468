"""The commands for experiments: run, sweep, reproduce."""

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np
from sklearn.model_selection import ParameterSampler

from .arguments import command, count, json_option, runs_option
from .experiment import ExperimentError, read_experiment
from .reproducing import reproduce
from .runs import find_run, make, open_run, train

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
    sweep.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster whose machines share the folders")
    again = command(
        subparsers, "reproduce", _reproduce, "train a run again and say whether it comes to the same bits",
        "fastmlp reproduce wine-1f0c2a9b", "fastmlp reproduce ./a-colleagues-run --data wine.csv",
    )  # fmt: skip
    again.add_argument("which", metavar="RUN", help="folder of a run, or its name among the runs, or how that begins")
    again.add_argument("--data", metavar="FILE", help="the table, if it is not where it was")
    again.add_argument("--here", action="store_true", help="use this environment, whatever versions were recorded")
    runs_option(again)


def _experiment(parser):
    parser.add_argument("experiment", help="TOML file")
    parser.add_argument(
        "-P", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a parameter of the estimator, or a key such as splits.folds, in place of that in the file",
    )  # fmt: skip
    parser.add_argument("--data", metavar="FILE", help="the table, in place of data.path")
    parser.add_argument("--no-mlflow", action="store_true", help="record in the folder of runs alone")
    parser.add_argument("--quiet", "-q", action="store_true", help="print no progress")
    runs_option(parser)


def _teller(args):
    return (lambda line: None) if args.quiet else (lambda line: print(line, file=sys.stderr, flush=True))


def _run(args):
    experiment = read_experiment(args.experiment, args.overrides)
    experiment.pop("search", None)
    run = open_run(experiment, os.path.dirname(args.experiment), args.runs, args.data)
    tell = _teller(args)
    complaint = None
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


# sweep


class _Range:
    """A distribution that ParameterSampler draws from: {low, high, log} of a search space."""

    def __init__(self, name, low, high, log=False):
        for bound in (low, high):
            if type(bound) not in (int, float):
                raise ExperimentError(f"search.space.{name}: low and high must be numbers, got {bound!r}.")
        if not low < high or log and low <= 0:
            raise ExperimentError(f"search.space.{name}: low must be below high, and above 0 with log.")
        self.low, self.high, self.log, self.whole = low, high, log, isinstance(low, int) and isinstance(high, int)

    def rvs(self, random_state):
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        drawn = random_state.uniform(low, high)
        drawn = float(np.exp(drawn)) if self.log else float(drawn)
        return round(drawn) if self.whole else float(f"{drawn:.6g}")


def trials_of(experiment):
    """The experiments of a sweep: as many sets of parameters as `search.trials` says, the same for the same seed.

    A set that is drawn twice, as rounded numbers may be, is one trial: two workers never train in one folder.
    """
    search = experiment.pop("search", {})
    if not search.get("space"):
        raise ExperimentError("A sweep needs [search.space] with values to try, as alpha = {low = 1e-5, high = 0.1}.")
    space = {}
    for name, given in search["space"].items():
        if isinstance(given, dict):
            if not {"low", "high"} <= given.keys() <= {"low", "high", "log"}:
                raise ExperimentError(f"search.space.{name}: must have low and high, and may have log, got {given}.")
            space[name] = _Range(name, **given)
        elif isinstance(given, list) and given:
            space[name] = given
        else:
            raise ExperimentError(f"search.space.{name}: must be a list of values, or low and high, got {given!r}.")
    n_trials, made = search.get("trials", 20), {}
    if all(isinstance(given, list) for given in space.values()):
        n_trials = min(n_trials, int(np.prod([len(given) for given in space.values()])))
    for drawn in ParameterSampler(space, n_trials, random_state=search.get("seed", 0)):
        estimator = experiment["estimator"] | {"params": experiment["estimator"]["params"] | drawn}
        made[repr(sorted(drawn.items()))] = experiment | {"estimator": estimator}
    trials = list(made.values())
    make(trials[0])  # names are right
    return trials


def _trial(experiment, base, runs, data, recorded):
    """Do a trial, in a process of its own; gives its name and what went wrong."""
    run = open_run(experiment, base, runs, data)
    complaint = None
    try:
        if not run.finished:
            complaint = train(run, lambda line: None, recorded)
    except (ValueError, TypeError, OSError) as error:
        complaint = str(error)
    metric = next(iter(run.metrics()), None)
    return run.name, metric, float(np.mean(run.scores(metric))) if metric else None, complaint


def _sweep(args):
    experiment = read_experiment(args.experiment, args.overrides)
    trials = trials_of(experiment)
    tell, base = _teller(args), os.path.abspath(os.path.dirname(args.experiment))
    open_run(trials[0], base, args.runs, args.data)  # refuses data that are not there
    if not args.no_mlflow:
        _make_database(experiment["name"])
    rest = base, os.path.abspath(args.runs), args.data and os.path.abspath(args.data), not args.no_mlflow
    with _executor(args) as executor:
        futures = [executor.submit(_trial, trial, *rest) for trial in trials]
        done = _as_done(futures, args)
        complaints, results = 0, []
        try:
            for number, future in enumerate(done, 1):
                name, metric, score, complaint = future.result()
                results.append((score, name))
                complaints += complaint is not None
                shown = "no score" if score is None else f"{metric} {score:.4g}"
                tell(f"{number} of {len(trials)}: {name}: {complaint or shown}")
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            raise
    scored = [result for result in results if result[0] is not None]
    if scored:
        print(f"best: {max(scored)[1]}, {metric} {max(scored)[0]:.4g}; {len(scored)} runs in {args.runs}")
    return int(complaints > 0)


def _make_database(name):
    try:
        from ..tracking import MLflowCallback

        MLflowCallback(name).prepare()
    except Exception as error:  # the runs will say it, too, and go on
        print(f"fastmlp: MLflow does not record: {str(error).splitlines()[0]}", file=sys.stderr)


def _executor(args):
    if args.dask is None:
        return ProcessPoolExecutor(args.workers, mp_context=get_context("spawn"))
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ImportError('--dask needs dask.distributed: pip install "dask[distributed]".') from error
    return Client(args.dask)


def _as_done(futures, args):
    if args.dask is None:
        return as_completed(futures)
    from dask.distributed import as_completed as as_completed_there

    return as_completed_there(futures)


def _reproduce(args):
    return reproduce(find_run(args.which, args.runs), args.data, args.here, print)
