"""Runs of experiments: each in a folder of its own that has all that is known of it."""

import json
import os
import re
import shutil
import time
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import blake2b, file_digest
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .. import __version__
from ..estimators.display import network_in
from ..estimators.parameters import did_you_mean
from ..interchange import KINDS
from ..tracking import arrays_digest, git_state, machine, own_source, versions
from ..training.disk import FULL, replace_file
from ..training.fits import INTERRUPTED
from .experiment import ExperimentError, flat, to_toml
from .files import TableError, WriteError, files_of, read_file, writing
from .parts import load_data, make, rows_of, scorers_of, splits_of
from .recording import Recorder

__all__ = [
    "DIFFERENCE",
    "OWN_DIFFERENCE",
    "Run",
    "data_hash",
    "described",
    "difference_hash",
    "find_folder",
    "find_run",
    "identity_of",
    "mean_curve",
    "names_of_curves",
    "only_one",
    "open_run",
    "place_of_copy",
    "recorded_code",
    "train",
]


DIFFERENCE, OWN_DIFFERENCE = "difference.patch", "fastmlp.patch"  # of the experiment's code, and of fastmlp's


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


def find_folder(name, folder, *files):
    """The folder at a path, or of a name, or of the only name that begins so, in a folder of runs.

    Parameters
    ----------
    name, folder : str
    *files : str
        It has one of these.

    Returns
    -------
    found : Path
    """
    if any(os.path.isfile(os.path.join(name, file)) for file in files) or os.sep in name:
        return Path(name)
    names = sorted(path.parent.name for file in files for path in Path(folder).glob(f"*/{file}"))
    fitting = [name] if name in names else [other for other in names if other.startswith(name)]
    if len(fitting) != 1:
        several = f"{len(fitting)} runs begin with {name!r}" if fitting else f"There is no run {name!r}"
        raise ExperimentError(f"{several} in {folder}{did_you_mean(name, names)}")
    return Path(folder, fitting[0])


def find_run(name, folder):
    """The run that `find_folder` finds."""
    return Run(find_folder(name, folder, "run.json"))


def data_hash(path):
    """BLAKE2b of the bytes of a file, or of the files of a folder that a table is read from."""
    if not os.path.exists(path):
        read_file(path)  # which says what is there
    digest = blake2b(digest_size=16)
    for file in files_of(path) if os.path.isdir(path) else [path]:
        with open(file, "rb") as opened:
            digest.update(file_digest(opened, "blake2b").digest())
    return digest.hexdigest()


# Training


def difference_hash(git):
    """BLAKE2b of the uncommitted difference, of what `git_state` gives."""
    return blake2b(git["difference"].encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def described(experiment, base, data=None):
    """What a run of an experiment is made of, as run.json has it, and uncommitted differences.

    Parameters
    ----------
    experiment : dict
    base : str
        Folder of its file, from which the path of the data counts.
    data : str, default=None
        The table, in place of the path in the experiment.

    Returns
    -------
    state : dict
    patches : dict of str to str
        By the names of their files: of the experiment's code, and of a checkout that fastmlp is imported from.
    """
    path = os.path.abspath(data or os.path.join(base, os.path.expanduser(experiment["data"]["path"])))
    try:
        hashed = data_hash(path)
    except TableError as error:
        raise ExperimentError(str(error), () if data else ["data", "path"]) from error
    state = {"experiment": experiment, "data": {"path": path, "hash": hashed}, "fastmlp": __version__}
    git, source = git_state(), own_source()
    state["git"], state["source"] = recorded_code(git), recorded_code(source)
    if git is not None:
        state["git"]["folder"] = os.path.relpath(os.getcwd(), git["root"])
    patches = {DIFFERENCE: git and git["difference"], OWN_DIFFERENCE: source and source["difference"]}
    return state, {name: text for name, text in patches.items() if text}


def recorded_code(git):
    """What a run keeps of what `git_state` gives: the place and the commit, and a hash of the difference."""
    return git and {"commit": git["commit"], "root": git["root"], "difference": difference_hash(git)}


def identity_of(experiment, state):
    """Eight hexadecimal digits: the same for the same experiment, data, code and version."""
    parts = [experiment, state["data"]["hash"], state["fastmlp"]]
    for code in (state["git"], state["source"]):
        parts += [code and code["commit"], code and code["difference"]]
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=4).hexdigest()


@contextmanager
def only_one(folder, name):
    """Hold a lock in a folder against other processes, for as long as this one lives.

    Raises
    ------
    ExperimentError
        If another process has it.
    """
    import fcntl

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "lock", "w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExperimentError(f"Another process is at work on {name}.") from error
        yield


def place_of_copy(run):
    """Where the folder of a run has a copy of its data."""
    return run.folder / "data" / run.state["data"]["hash"] / os.path.basename(run.state["data"]["path"])


def _keep_data(run, most):
    """Copy the data into the folder of a run if they have no more than `most` bytes; runs share what is on the disk."""
    path, copy = run.state["data"]["path"], place_of_copy(run)
    files = files_of(path) if os.path.isdir(path) else [path]
    if sum(map(os.path.getsize, files)) > most or copy.exists():
        return
    for file in files:
        target = copy / os.path.basename(file) if os.path.isdir(path) else copy
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            for other in run.folder.parent.glob(f"*/{target.relative_to(run.folder)}"):
                with suppress(OSError):  # a file system without links
                    os.link(other, target)
                    break
            else:
                with open(file, "rb") as original:
                    replace_file(target, partial(shutil.copyfileobj, original))


def open_run(experiment, base, runs, data=None, keep=0):
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
    keep : int, default=0
        Most bytes of data to copy into the folder, so that it can be handed on.

    Returns
    -------
    run : Run
    """
    state, patches = described(experiment, base, data)
    identity = identity_of(experiment, state)
    folder = Path(runs, f"{experiment['name']}-{identity}")
    if (folder / "run.json").exists():
        return Run(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, json.loads(json.dumps(state, default=str)) | {"folds": {}, "began": time.time()})
    _keep_data(run, keep)
    run.put("experiment.toml", to_toml(experiment))
    for name, text in patches.items():
        run.put(name, text)
    return run


def train(run, tell=print, recorded=True, tracking_uri=None):
    """Do what is still to be done of a run, fold by fold; a fit that was killed goes on from its checkpoint.

    Parameters
    ----------
    run : Run
    tell : callable
        Gets a line for each fold.
    recorded : bool, default=True
        Whether to record in MLflow, if it is installed.
    tracking_uri : str, default=None
        Address for MLflow; None is that of `MLflowCallback`.

    Returns
    -------
    complaint : str or None
        What MLflow said if it did not record.

    Raises
    ------
    KeyboardInterrupt
        If a fit was interrupted. What it has learned since its checkpoint is no part of the run.
    WriteError
        If the disk is full. What is done stays.
    """
    with only_one(run.folder / "checkpoints", run.name):
        if (run.folder / "run.json").exists():
            run.state = Run(run.folder).state  # another process may just have ended
        if run.finished:
            return None
        with Recorder(run, recorded and find_spec("mlflow") and find_spec("sqlalchemy"), tracking_uri) as recorder:
            _train(run, tell, recorder)
    return recorder.complaint


def _train(run, tell, recorder):
    experiment, state = run.state["experiment"], run.state
    if data_hash(state["data"]["path"]) != state["data"]["hash"]:
        raise ExperimentError(f"{state['data']['path']} has changed since the run {run.name} began.")
    X, y = load_data(experiment, state["data"]["path"])
    scorers = scorers_of(experiment, make(experiment))
    splits = splits_of(experiment, make(experiment), X, y)
    state["machine"], state["versions"] = machine(), versions()
    run.write()
    run.put("requirements.txt", "".join(f"{name}=={version}\n" for name, version in state["versions"].items()))
    recorder.begin()
    for seed in experiment["seeds"]:
        for number, (rows, test) in enumerate(splits):
            key = f"{seed}/{number}"
            if key in state["folds"]:
                continue
            fitted, seconds = _fit(run, key, seed, rows_of(X, rows), y[rows], recorder)
            scores = {name: float(score(fitted, rows_of(X, test), y[test])) for name, score in scorers.items()}
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


def _fit(run, key, seed, X, y, recorder):
    checkpoint = str(run.folder / "checkpoints" / f"{key.replace('/', '-')}.checkpoint")
    estimator = make(run.state["experiment"], random_state=seed, checkpoint_path=checkpoint)
    began = time.perf_counter()
    with recorder.fit(estimator, key), warnings.catch_warnings():
        warnings.filterwarnings("error", message=re.escape(INTERRUPTED))
        try:
            estimator.fit(X, y)
        except UserWarning as error:  # the fit would be kept as if it had come to its end
            raise KeyboardInterrupt from error
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise WriteError(f"{checkpoint} cannot be written: {error.strerror}.") from error
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
