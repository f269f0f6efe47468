"""Runs of experiments: each in a folder of its own that has all that is known of it."""

import importlib
import inspect
import json
import os
import shutil
import sys
import time
import warnings
from hashlib import blake2b, file_digest
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, ShuffleSplit, StratifiedShuffleSplit

from .. import __version__
from ..estimators.display import network_in
from ..estimators.parameters import did_you_mean
from ..estimators.tabular_base import BaseTabularMLP
from ..interchange import KINDS
from ..tracking import arrays_digest, git_state, machine, versions
from ..training.disk import replace_file
from .experiment import ExperimentError, flat, to_toml
from .files import column, columns_of, files_of, read_file, rows_where, with_values, without, writing
from .models import targets_of
from .recording import Recorder

__all__ = ["Run", "data_hash", "find_run", "mean_curve", "names_of_curves", "train"]


class Run:
    """A folder with a run; `state`, which run.json has, says what it is made of and how far it has come."""

    def __init__(self, folder, state=None):
        self.folder = Path(folder)
        if state is None:
            try:
                state = json.loads((self.folder / "run.json").read_text("utf-8"))
            except FileNotFoundError as error:
                raise ExperimentError(f"{folder} is no folder of a run: it has no run.json.") from error
            except ValueError as error:
                raise ExperimentError(f"{self.folder / 'run.json'} is damaged: {error}.") from error
        self.state = state

    @property
    def name(self):
        return self.folder.name

    @property
    def finished(self):
        return "model" in self.state

    def write(self):
        """Replace run.json, whole or not at all."""
        self.put("run.json", json.dumps(self.state, indent=1))

    def put(self, name, text):
        """Write a text to a file of the folder, whole or not at all."""
        with writing(self.folder / name):
            replace_file(self.folder / name, lambda file: file.write(text.encode("utf-8", "surrogateescape")))

    def scores(self, metric):
        """A score of all folds and seeds, in the order of their keys, as an array."""
        folds = self.state["folds"]
        return np.array([folds[key]["scores"][metric] for key in sorted(folds)])

    @property
    def seconds(self):
        """Time that the fits of all folds and seeds have taken."""
        return sum(fold["seconds"] for fold in self.state["folds"].values())

    def metrics(self):
        """Names of the scores."""
        return list(next(iter(self.state["folds"].values()), {"scores": {}})["scores"])

    def params(self):
        """What the experiment sets, by dotted names; those of the estimator without what comes before."""
        values = flat(self.state["experiment"])
        return {name.removeprefix("estimator.params."): value for name, value in values.items()}


def find_run(name, folder):
    """The run at a path, or of a name, or of the only name that begins so, in a folder of runs."""
    if os.path.isfile(os.path.join(name, "run.json")) or os.sep in name:
        return Run(name)
    names = sorted(path.parent.name for path in Path(folder).glob("*/run.json"))
    fitting = [name] if name in names else [other for other in names if other.startswith(name)]
    if len(fitting) != 1:
        several = f"{len(fitting)} runs begin with {name!r}" if fitting else f"There is no run {name!r}"
        raise ExperimentError(f"{several} in {folder}{did_you_mean(name, names)}")
    return Run(Path(folder, fitting[0]))


def data_hash(path):
    """BLAKE2b of the bytes of a file, or of the files of a folder that a table is read from."""
    if not os.path.exists(path):
        read_file(path)  # which says what is there
    digest = blake2b(digest_size=16)
    for file in files_of(path) if os.path.isdir(path) else [path]:
        with open(file, "rb") as opened:
            digest.update(file_digest(opened, "blake2b").digest())
    return digest.hexdigest()


# The parts of an experiment


def _class(name):
    if name in KINDS:
        return KINDS[name]
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise ExperimentError(
            f"estimator.name: there is no estimator {name!r} in fastmlp{did_you_mean(name, KINDS)}"
            " Others are named with their module, as in sklearn.linear_model.Ridge."
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # modules beside the experiment, as for a script
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ExperimentError(f"estimator.name: {name!r} cannot be imported: {error}.") from error


def make(experiment, **more):
    """The estimator of an experiment, which a class makes or a function of the user's.

    The parameters in `more` are set wherever in it they are None, in the steps of a pipeline too.
    """
    kind, params = _class(experiment["estimator"]["name"]), experiment["estimator"]["params"]
    known = inspect.signature(kind).parameters
    if not any(param.kind == param.VAR_KEYWORD for param in known.values()):
        for name in params:
            if name not in known:
                owner = experiment["estimator"]["name"]
                raise ExperimentError(
                    f"estimator.params: {owner} has no parameter {name!r}{did_you_mean(name, known)}"
                )
    estimator = kind(**params)
    for name, value in estimator.get_params().items():
        if value is None and (given := more.get(name.rpartition("__")[2])) is not None:
            estimator.set_params(**{name: given})
    return estimator


def load_data(experiment, path):
    """The table without its target, and the target."""
    data = experiment["data"]
    table = read_file(path, data.get("delimiter"))
    values = column(table, data["target"], path)
    for name in data.get("drop", ()):
        column(table, name, path)
    table, values = with_values(table, values)
    estimator = make(experiment)
    task = data.get("task") or ("classification" if is_classifier(estimator) else "regression")
    y = targets_of(values, task, data["target"])
    X = without(table, [data["target"], *data.get("drop", ())])
    if isinstance(estimator, BaseTabularMLP):
        return X, y
    try:
        return np.column_stack([np.array(column(X, name, path), dtype=np.float64) for name in columns_of(X)]), y
    except (ValueError, TypeError) as error:
        raise ExperimentError(
            f"{type(estimator).__name__} takes numbers alone, and {path} has other columns: drop them with data.drop."
        ) from error


def _rows(X, keep):
    return X[keep] if isinstance(X, np.ndarray) else rows_where(X, keep)


def _scorers(experiment, estimator):
    names = experiment.get("metrics") or (["accuracy", "neg_log_loss"] if is_classifier(estimator) else ["r2"])
    for name in names:
        if name not in get_scorer_names():
            raise ExperimentError(f"metrics: there is no score {name!r}{did_you_mean(name, get_scorer_names())}")
    return {name: get_scorer(name) for name in names}


def _splits(experiment, estimator, X, y):
    splits = experiment["splits"]
    if "held_out" in splits:
        kind = StratifiedShuffleSplit if is_classifier(estimator) else ShuffleSplit
        splitter = kind(n_splits=splits["repeats"], test_size=splits["held_out"], random_state=splits["seed"])
    else:
        kind = RepeatedStratifiedKFold if is_classifier(estimator) else RepeatedKFold
        splitter = kind(n_splits=splits["folds"], n_repeats=splits["repeats"], random_state=splits["seed"])
    return list(splitter.split(np.zeros(len(y)), y))


# Training


def open_run(experiment, base, runs, data=None):
    """The run of an experiment: the folder that it has already, or another.

    Parameters
    ----------
    experiment : dict
    base : str
        Folder of its file, from which the path of the data counts.
    runs : str
        Folder of runs.
    data : str, default=None
        The table, in place of the path in the experiment.

    Returns
    -------
    run : Run
    """
    path = os.path.abspath(data or os.path.join(base, os.path.expanduser(experiment["data"]["path"])))
    make(experiment)  # refuses what is wrong before there is a folder
    git = git_state()
    state = {"experiment": experiment, "data": {"path": path, "hash": data_hash(path)}, "fastmlp": __version__}
    state["git"] = None if git is None else {
        "commit": git["commit"], "root": git["root"], "folder": os.path.relpath(os.getcwd(), git["root"]),
        "difference": blake2b(git["difference"].encode("utf-8", "surrogateescape"), digest_size=16).hexdigest(),
    }  # fmt: skip
    parts = [experiment, state["data"]["hash"], state["fastmlp"]]
    parts += [git and git["commit"], git and state["git"]["difference"]]
    identity = blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=4).hexdigest()
    folder = Path(runs, f"{experiment['name']}-{identity}")
    if (folder / "run.json").exists():
        return Run(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, json.loads(json.dumps(state, default=str)) | {"folds": {}, "began": time.time()})
    run.put("experiment.toml", to_toml(experiment))
    if git is not None and git["difference"]:
        run.put("difference.patch", git["difference"])
    return run


def train(run, tell=print, recorded=True):
    """Do what is still to be done of a run, fold by fold; a fit that was killed goes on from its checkpoint.

    Parameters
    ----------
    run : Run
    tell : callable
        Gets a line for each fold.
    recorded : bool, default=True
        Whether to record in MLflow, if it is installed.

    Returns
    -------
    complaint : str or None
        What MLflow said if it did not record.
    """
    experiment, state = run.state["experiment"], run.state
    if data_hash(state["data"]["path"]) != state["data"]["hash"]:
        raise ExperimentError(f"{state['data']['path']} has changed since the run {run.name} began.")
    X, y = load_data(experiment, state["data"]["path"])
    scorers = _scorers(experiment, make(experiment))
    splits = _splits(experiment, make(experiment), X, y)
    state["machine"], state["versions"] = machine(), versions()
    run.write()
    run.put("requirements.txt", "".join(f"{name}=={version}\n" for name, version in state["versions"].items()))
    (run.folder / "checkpoints").mkdir(exist_ok=True)
    with Recorder(run, recorded and find_spec("mlflow") and find_spec("sqlalchemy")) as recorder:
        for seed in experiment["seeds"]:
            for number, (rows, test) in enumerate(splits):
                key = f"{seed}/{number}"
                if key in state["folds"]:
                    continue
                fitted, seconds = _fit(run, key, seed, _rows(X, rows), y[rows], recorder)
                scores = {name: float(score(fitted, _rows(X, test), y[test])) for name, score in scorers.items()}
                state["folds"][key] = {
                    "scores": scores, "seconds": seconds, "digest": arrays_digest(fitted), "curves": _curves(fitted),
                    "rows": [len(rows), len(test)],
                }  # fmt: skip
                run.write()
                recorder.fold_ends(scores)
                shown = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
                tell(f"{run.name}: seed {seed}, fold {number + 1} of {len(splits)}: {shown}, {seconds:.1f} s")
        fitted, seconds = _fit(run, "model", experiment["seeds"][0], X, y, recorder)
        file = _keep(run, fitted)
        state["model"] = {"file": file, "digest": arrays_digest(fitted), "seconds": seconds}
        state["versions"] = versions()
        state["ended"] = time.time()
        run.write()
        shutil.rmtree(run.folder / "checkpoints")
    return recorder.complaint


def _fit(run, key, seed, X, y, recorder):
    checkpoint = str(run.folder / "checkpoints" / f"{key.replace('/', '-')}.checkpoint")
    estimator = make(run.state["experiment"], random_state=seed, checkpoint_path=checkpoint)
    began = time.perf_counter()
    with recorder.fit(estimator, key):
        estimator.fit(X, y)
    for name, value in estimator.get_params().items():
        if value == checkpoint:
            estimator.set_params(**{name: None})
    return estimator, round(time.perf_counter() - began, 3)


def _keep(run, fitted):
    """Write the model, as a file of fastmlp's or of skops'; gives its name."""
    if type(fitted) in KINDS.values():
        with writing(run.folder / "model.fastmlp"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that how often checkpoints were written is not in it
            fitted.set_params(callbacks=None).save(run.folder / "model.fastmlp")
        return "model.fastmlp"
    try:
        import skops.io
    except ImportError:
        return None
    with writing(run.folder / "model.skops"):
        replace_file(run.folder / "model.skops", lambda file: file.write(skops.io.dumps(fitted)))
    return "model.skops"


def _curves(fitted):
    """Curves by epoch; of an ensemble the means over the members that have done the epoch."""
    network = network_in(fitted)
    curves = {}
    for name, attribute in (("loss", "loss_curve_"), ("validation score", "validation_scores_")):
        of = [getattr(member, attribute, None) for member in getattr(network, "members_", [network])]
        of = [[float(value) for value in curve] for curve in of if curve is not None and len(curve)]
        if of:
            curves[name] = mean_curve(of)
    return curves


def mean_curve(curves):
    """The mean over those curves that have the epoch, for each epoch of the longest."""
    return [float(np.mean([curve[i] for curve in curves if i < len(curve)])) for i in range(max(map(len, curves)))]


def names_of_curves(runs):
    """Names of the curves that any fit of the runs has."""
    return list(dict.fromkeys(name for run in runs for fold in run.state["folds"].values() for name in fold["curves"]))
