"""Sweeps: many runs of an experiment, whose parameters Optuna draws from its search space."""

import json
import math
import os
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import product
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import numpy as np

from ..training.disk import replace_file
from .experiment import ExperimentError, to_toml
from .files import WriteError, writing
from .parts import load_data, make, scorers_of
from .runs import Run, described, identity_of, only_one, open_run, train

__all__ = ["Sweep", "conduct", "open_sweep"]

_STUDY = "sweep"  # its name in the journal
_RUN = "run"  # user attribute of a trial


class Sweep:
    """A folder beside those of its runs; `state`, which sweep.json has, says what it is made of and what came out.

    Attributes
    ----------
    state : dict
        What a run of the experiment has, with the search; "metric", the score that is searched by; "trials", of each
        draw that has been trained its run and its score.
    """

    def __init__(self, folder, state=None):
        self.folder = Path(folder)
        self.state = json.loads((self.folder / "sweep.json").read_text("utf-8")) if state is None else state

    @property
    def name(self):
        return self.folder.name

    def write(self):
        """Replace sweep.json, whole or not at all."""
        self.put("sweep.json", json.dumps(self.state, indent=1))

    def put(self, name, text):
        """Write a text to a file of the folder, whole or not at all."""
        with writing(self.folder / name):
            replace_file(self.folder / name, lambda file: file.write(text.encode("utf-8", "surrogateescape")))

    def take_up(self):
        """Go on with what the folder has, if it has anything."""
        if (self.folder / "sweep.json").exists():
            before = Sweep(self.folder).state
            self.state |= {name: before[name] for name in ("metric", "trials")}
        self.put("experiment.toml", to_toml(self.state["experiment"]))
        self.write()

    @property
    def finished(self):
        return self.state.get("finished", False)

    @property
    def runs(self):
        """Names of the runs, the best first."""
        ranked = sorted(self.state["trials"].values(), key=lambda trial: -trial["score"])
        return list(dict.fromkeys(trial["run"] for trial in ranked))

    @property
    def best(self):
        """Run and score of the best trial; None before the first is done."""
        return max(self.state["trials"].values(), key=lambda trial: trial["score"], default=None)

    def run(self, name):
        """A run of the sweep."""
        return Run(self.folder.parent / name)

    def summary(self):
        """What `fastmlp sweep --json` prints of it."""
        return {name: self.state[name] for name in ("metric", "trials", "finished")}


def open_sweep(experiment, base, runs, data=None):
    """The sweep of an experiment: the folder that it has already, or another.

    Parameters
    ----------
    experiment : dict
        With its search space; without one that of `fastmlp.tuning.default_space`.
    base, runs, data : str
        As `open_run` takes them.

    Returns
    -------
    sweep : Sweep
    """
    search = {"trials": 20, "seed": 0, "sampler": "tpe"} | experiment.get("search", {})
    experiment = experiment | {"search": search}
    # what is wrong is refused before there is a folder, and once, not by each trial
    _space(experiment)
    scorers_of(experiment, make(experiment))
    state, patches = described(experiment, base, data)
    load_data(experiment, state["data"]["path"])
    # the number of trials is no part of it: with more of them a sweep goes on
    same = experiment | {"search": {name: value for name, value in search.items() if name != "trials"}}
    folder = Path(runs, f"{experiment['name']}-sweep-{identity_of(same, state)}")
    state = json.loads(json.dumps(state, default=str)) | {"metric": None, "trials": {}, "finished": False}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sweep = Sweep(folder, state)
    for name, text in patches.items():
        sweep.put(name, text)
    return sweep


# The space


def _space(experiment):
    """The search space as Optuna draws from it."""
    from ..tuning import default_space
    from ..tuning.spaces import Space

    params = experiment["estimator"]["params"]
    given = experiment["search"].get("space")
    space = default_space(make(experiment)) if given is None else _distributions(given)
    made = Space(space, dict.fromkeys(space) | params)
    first = {name: _first(part) for name, part in made.distributions.items()}
    try:
        make(_with(experiment, made.params(first)))  # refuses names that are none
    except ExperimentError as error:
        if error.keys[2:] and error.keys[2] in space:
            error.keys = ["search", "space", *error.keys[2:]]
        raise
    return made


def _distributions(space):
    """Ranges as Optuna's distributions, and lists as they are."""
    from ..tuning.spaces import import_optuna

    distributions, made = import_optuna().distributions, {}
    for name, given in space.items():
        if isinstance(given, list):
            made[name] = given
        elif "low" in given:
            whole = isinstance(given["low"], int) and isinstance(given["high"], int)
            kind = distributions.IntDistribution if whole else distributions.FloatDistribution
            made[name] = kind(**given)
        else:
            made[name] = _distributions(given)
    return made


def _first(distribution):
    return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


def _all_sets(distributions, most):
    """All sets of values that there are, if they are no more than `most`, else None."""
    counts = [
        len(part.choices) if hasattr(part, "choices")
        else math.inf if isinstance(part.low, float) else part.high - part.low + 1
        for part in distributions.values()
    ]  # fmt: skip
    if math.prod(counts) > most:
        return None
    values = [
        part.choices if hasattr(part, "choices") else range(part.low, part.high + 1) for part in distributions.values()
    ]
    return [dict(zip(distributions, drawn, strict=True)) for drawn in product(*values)]


def _with(experiment, params):
    """The experiment of a run with these parameters."""
    params = json.loads(json.dumps(experiment["estimator"]["params"] | params))
    estimator = experiment["estimator"] | {"params": params}
    return {name: part for name, part in experiment.items() if name != "search"} | {"estimator": estimator}


# The trials


class _Trials:
    """The draws of a sweep, in a journal of Optuna's; a run that several draws come to is trained once."""

    def __init__(self, sweep, parallel):
        import optuna

        from ..tuning.studies import open_study, study_at

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.experiment = sweep, sweep.state["experiment"]
        search = self.experiment["search"]
        self.space = _space(self.experiment)
        with writing(sweep.folder):
            storage = open_study(sweep.folder / "study.log", _STUDY, {"sweep": sweep.name})
        self.study_at = lambda draw: study_at(
            storage, _STUDY, search["seed"], draw, sampler=search["sampler"], parallel=parallel
        )
        self.n_trials = search["trials"]
        sets = _all_sets(self.space.distributions, self.n_trials)
        if sets is not None:
            self.n_trials = len(sets)
            for drawn in sets:
                self.study_at(0).enqueue_trial(drawn, skip_if_exists=True)
        states = optuna.trial.TrialState
        trials = self.study_at(0).get_trials(deepcopy=False)
        self.left = []  # by a sweep that was interrupted: numbers and what was drawn
        for trial in trials:
            if trial.state == states.RUNNING:
                drawn = trial.system_attrs.get("fixed_params", trial.params)
                if drawn.keys() == self.space.distributions.keys():
                    self.left.append((trial.number, drawn))
                else:  # it ended while it drew, and draws again
                    self.study_at(0).tell(trial.number, state=states.FAIL)
        trials = self.study_at(0).get_trials(deepcopy=False)
        self.n_drawn = sum(trial.state not in (states.WAITING, states.FAIL) for trial in trials)

    def next(self):
        """Number and experiment of a trial that is to be done; None if there is none."""
        if self.left:
            number, drawn = self.left.pop(0)
        elif self.n_drawn < self.n_trials:
            with writing(self.sweep.folder / "study.log"):
                trial = self.study_at(self.n_drawn).ask(self.space.distributions)
            number, drawn = trial.number, trial.params
            self.n_drawn += 1
        else:
            return None
        return number, _with(self.experiment, self.space.params(drawn))

    def told(self, number, run, score):
        """Keep a score in the sweep, and tell Optuna of it; if killed in between, the trial is told again."""
        self.sweep.state["trials"][str(number)] = {"run": run, "score": score}
        self.sweep.write()
        with writing(self.sweep.folder / "study.log"):
            self.study_at(0).tell(number, score)


def conduct(sweep, tell, n_workers=1, dask=None, tracking_uri=None, keep=0):
    """Do what is still to be done of a sweep.

    Parameters
    ----------
    sweep : Sweep
    tell : callable
        Gets a line for each trial.
    n_workers : int, default=1
        Trials at a time, each in a process of its own if there are several. With 1, the trials are the same in each
        sweep with the same seed.
    dask : str, default=None
        Address of the scheduler of a cluster that does the trials, as many at a time as it has threads.
    tracking_uri : str, default=None
        Where MLflow records; None is nowhere.
    keep : int, default=0
        As `open_run` takes it.

    Returns
    -------
    complaints : list of str
        Of trials that came to no score, or that MLflow did not record.
    """
    with only_one(sweep.folder, sweep.name), _executor(n_workers, dask) as (executor, at_a_time):
        sweep.take_up()
        trials, complaints = _Trials(sweep, at_a_time > 1), []
        base, data = os.getcwd(), sweep.state["data"]["path"]
        doing, numbers = {}, {}  # future -> run; name of a run -> numbers of the trials that come to it
        while True:
            while len(doing) < at_a_time and (trial := trials.next()) is not None:
                number, experiment = trial
                run = open_run(experiment, base, sweep.folder.parent, data, keep)
                if run.name in numbers:
                    numbers[run.name].append(number)
                    continue
                numbers[run.name] = [number]
                doing[executor.submit(_train, run, base, tracking_uri)] = run
            if not doing:
                break
            for future in wait(doing, return_when=FIRST_COMPLETED).done:
                run = doing.pop(future)
                metric, score, complaint = _result(future)
                if complaint is not None:
                    complaints.append(f"{run.name}: {complaint}")
                if score is not None:
                    sweep.state["metric"] = metric
                    for number in numbers.pop(run.name):
                        trials.told(number, run.name, score)
                shown = complaint or f"{metric} {score:.4g}"
                tell(f"{len(sweep.state['trials'])} of {trials.n_trials}: {run.name}: {shown}")
        sweep.state["finished"] = len(sweep.state["trials"]) == trials.n_trials
        sweep.write()
    return complaints


def _train(run, base, tracking_uri):
    """Do a trial, in a process of its own; gives the metric, the score, and what went wrong."""
    if base not in sys.path:
        sys.path.insert(0, base)  # modules beside the experiment
    complaint = None
    try:
        if not run.finished:
            complaint = train(run, lambda line: None, tracking_uri is not None, tracking_uri)
    except WriteError:  # as the next trial's would be, too
        raise
    except (ValueError, TypeError, OSError, ImportError) as error:
        return None, None, str(error)
    metric = run.metrics()[0]
    score = float(np.mean(run.scores(metric)))
    return (metric, score, complaint) if math.isfinite(score) else (None, None, f"the score {metric} is {score}")


def _result(future):
    try:
        return future.result()
    except BrokenExecutor as error:  # nothing that is done is lost, and the executor takes no more
        raise ExperimentError("A process of the sweep ended without a word, as one does without memory.") from error


@contextmanager
def _executor(n_workers, dask):
    """An executor, and how many trials it does at a time."""
    if dask is not None:
        try:
            from dask.distributed import Client
        except ImportError as error:
            raise ImportError('--dask needs dask.distributed: pip install "fastmlp[dask]".') from error
        with Client(dask) as client, client.get_executor(pure=False) as executor:
            yield executor, max(1, sum(client.nthreads().values()))
        return
    if n_workers == 1:
        yield _Here(), 1
        return
    before = set(active_children())
    with _threads_shared(n_workers), ProcessPoolExecutor(
        n_workers, mp_context=get_context("spawn"), initializer=_heed_parent
    ) as executor:  # fmt: skip
        try:
            yield executor, n_workers
        except BaseException:
            for process in set(active_children()) - before:
                process.terminate()
            raise


class _Here(Executor):
    """Does at once, in this process, what is submitted."""

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future


def _heed_parent():
    """Let the first process decide on Ctrl-C, and end with it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end():
        parent_process().join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@contextmanager
def _threads_shared(n_workers):
    """Divide the cores among processes that are started within."""
    from ..engine.threads import effective_n_threads

    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = str(max(1, effective_n_threads() // n_workers))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
