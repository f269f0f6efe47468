"""A callback that records fits in MLflow."""

import copy
import os
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..estimators.base import BaseMLP
from ..estimators.display import TrainingCurveDisplay, network_in
from ..estimators.perceptron import Perceptron
from ..estimators.tabular_base import BaseTabularMLP
from ..exports import SKOPS_TRUSTED_TYPES
from .provenance import arrays_digest, data_fingerprint, git_state, machine, versions

__all__ = ["MLflowCallback", "reason_of", "status_after"]

SHARE = 200  # a write may come when this many times the time of the last one has passed
MOST_METRICS, MOST_PARAMS, LONGEST = 1000, 100, 500  # that MLflow takes in a batch, and characters of a value
_SCORES = ("best_score_", "best_loss_", "best_validation_score_", "oof_score_", "n_iter_")
_OWN_RUNS = ("candidate-split-evaluation", "refit-with-best-params", "member")


class MLflowCallback:
    """Records parameters, curves, scores, the model and where all of it came from in MLflow.

    With scikit-learn 1.9, a callback for ``set_callbacks`` of any estimator that takes them: those of fastmlp,
    pipelines, searches. Members of an ensemble, and each fit of a search, get a run below that of the whole fit. With
    any version, a function for the parameter `callbacks` of fastmlp's estimators, within a ``with`` block of `run`.

    What cannot be recorded never ends a fit: there is a warning, and the rest of this fit is not recorded.

    Parameters
    ----------
    experiment : str, default="fastmlp"
        Name of the experiment that runs belong to; made if there is none.
    tracking_uri : str, default=None
        Address of MLflow's server or database. None is that of ``mlflow.set_tracking_uri`` or the environment variable
        ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db`` in the current folder.
    run_name : str, default=None
        Name of the run of a fit. None is the name of the estimator's class.
    tags : dict of str to str, default=None
        More tags of the run.
    log_model : bool, default=True
        Whether to keep the fitted model: an estimator of fastmlp as a file without code, as `save` writes it, other
        estimators in skops's format; with signature and an input example.
    interval : float, default=1.0
        Seconds between two writes of the curves, at least. It grows where writing is slow, so that writing takes 0.5 %
        of the time; what is left is written after the last epoch.

    Attributes
    ----------
    run_id_ : str
        Of the run of the last fit.
    client : mlflow.MlflowClient
        Of the server or database.

    Raises
    ------
    ImportError
        If MLflow is not installed: ``pip install "fastmlp[tracking]"``.

    Examples
    --------
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.tracking import MLflowCallback
    >>> model = MLPClassifier().set_callbacks(MLflowCallback("iris"))  # doctest: +SKIP
    >>> model.fit(X, y)  # doctest: +SKIP
    """

    max_propagation_depth = None  # to all estimators within
    metrics_only = True  # no copy of the weights is made for it after an epoch
    run_id_: str

    def __init__(
        self,
        experiment: str = "fastmlp",
        *,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        log_model: bool = True,
        interval: float = 1.0,
    ) -> None:
        mlflow = _import_mlflow()
        self.experiment, self.run_name, self.tags = experiment, run_name, tags
        self.log_model, self.interval = log_model, interval
        if tracking_uri is None:
            tracking_uri = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else "sqlite:///mlflow.db"
        if tracking_uri.startswith("sqlite:///"):  # absolute, for workers may be in another folder
            tracking_uri = f"sqlite:///{Path(tracking_uri.removeprefix('sqlite:///')).absolute()}"
        self.tracking_uri = tracking_uri
        self._reset()

    def _reset(self):
        self._lock = threading.RLock()
        self._runs = {}  # where a task is in the tree of tasks -> id of its run
        self._waiting, self._written, self._pause = {}, time.time(), self.interval
        self._last = {}  # where a task is -> its last epoch, and the learning rate in it
        self._broken = False
        self._following = self._parent = None

    def __getstate__(self):
        """Without what belongs to one process; a worker's copy records below the runs that there are."""
        own = ("_lock", "_client_", "_waiting", "_parent")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state):
        vars(self).update(state)
        self._lock, self._waiting, self._parent = threading.RLock(), {}, None

    @property
    def client(self) -> Any:
        if "_client_" not in vars(self):
            from mlflow import MlflowClient

            with _only_process(self.tracking_uri):  # which may make the database
                self._client_ = MlflowClient(self.tracking_uri)
        return self._client_

    @contextmanager
    def _recording(self):
        """Turn an error of MLflow's into one warning, after which nothing is recorded."""
        if self._broken:
            yield False
            return
        with self._lock:
            try:
                yield True
            except Exception as error:  # of the database, the server, the disk: whatever it is, the fit goes on
                self._broken = True
                warnings.warn(f"MLflow at {self.tracking_uri} does not record: {reason_of(error)}")

    # Runs

    def prepare(self) -> str:
        """Make the database and the experiment, once, before workers start; gives the experiment's id."""
        _refuse_silent_server(self.tracking_uri)
        client = self.client
        with _only_process(self.tracking_uri):
            found = client.get_experiment_by_name(self.experiment)
            return client.create_experiment(self.experiment) if found is None else found.experiment_id

    def _begin(self, key, parent, name, estimator, tags=None):
        """Open a run below that of another key, with the parameters of the estimator."""
        from mlflow.entities import Param

        if parent is None:
            self._experiment_id = self.prepare()
        tags = {"mlflow.parentRunId": self._runs[parent]} if parent is not None else dict(tags or {})
        run_id = self.client.create_run(self._experiment_id, tags=tags, run_name=name).info.run_id
        self._runs[key] = run_id
        params = [Param(name, repr(value)[:LONGEST]) for name, value in estimator.get_params().items()]
        began = time.time()
        for start in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(run_id, params=params[start : start + MOST_PARAMS])
        if parent is None:  # the first write of the curves will take about as long
            self._pause = max(self.interval, SHARE * (time.time() - began))
        return run_id

    def _begin_root(self, key, estimator, X, y):
        import mlflow

        git = git_state()
        about = machine() | {f"version.{name}": version for name, version in versions().items() if name in _TOLD}
        if X is not None:
            about["data"] = data_fingerprint(X, y)
        if "random_state" in estimator.get_params():
            about["seed"] = estimator.get_params()["random_state"]
        if git is not None:
            about["mlflow.source.git.commit"] = git["commit"]
            about["uncommitted"] = bool(git["difference"])
        if (active := mlflow.active_run()) is not None:
            about["mlflow.parentRunId"] = active.info.run_id
        about |= {"mlflow.source.name": sys.argv[0]} | (self.tags or {})
        name = self.run_name or type(estimator).__name__
        self.run_id_ = self._begin(key, None, name, estimator, {tag: str(value) for tag, value in about.items()})
        if git is not None and git["difference"]:
            self.client.log_text(self.run_id_, git["difference"], "difference.patch")
        self._written = time.time()  # what a fit begins with takes longer than the interval

    def _log(self, key, metrics, step):
        """Keep metrics for the next write; write if it is time for it."""
        now, rate = time.time(), metrics.get("learning_rate")
        if (
            rate is not None and self._last.get(key, (0, None))[1] == rate
        ):  # most are constant, and a metric costs 0.1 ms
            metrics = {name: value for name, value in metrics.items() if name != "learning_rate"}
        self._waiting.setdefault(self._runs[key], []).append((metrics, now, step))
        self._last[key] = step, rate
        if now - self._written >= self._pause:
            self._write()

    def _write(self):
        from mlflow.entities import Metric

        began = time.time()
        for run_id, waiting in self._waiting.items():
            metrics = [
                Metric(name, float(value), int(now * 1000), step)
                for metrics, now, step in waiting
                for name, value in metrics.items()
                if value == value and name != "member"
            ]
            for start in range(0, len(metrics), MOST_METRICS):
                self.client.log_batch(run_id, metrics[start : start + MOST_METRICS])
        self._waiting = {}
        self._written = time.time()
        self._pause = max(self.interval, SHARE * (self._written - began))

    def _end(self, key, estimator, status="FINISHED"):
        """End a run; that of a member has no estimator, and the number of its last epoch."""
        run_id, (step, _) = self._runs.pop(key), self._last.pop(key, (None, None))
        scores = {"n_iter": step}
        if estimator is not None:
            self._write()
            scores = {name.rstrip("_"): getattr(estimator, name, None) for name in _SCORES}
        scores = {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}
        if status == "FINISHED":
            for name, value in scores.items():
                self.client.log_metric(run_id, name, value)
        self.client.set_terminated(run_id, status)

    def _end_root(self, key, estimator, X, status):
        run_id = self._runs[key]
        for below in [other for other in self._runs if other != key and other[: len(key)] == key]:
            self._end(below, None, status)
        if status == "FINISHED":
            self.client.set_tag(run_id, "digest", arrays_digest(estimator))
            self._log_picture(run_id, estimator)
            if self.log_model and X is not None:
                try:
                    self._log_model(run_id, estimator, X)
                except Exception as error:  # a class that skops does not take, a model that does not predict
                    warnings.warn(f"The model is not kept in MLflow: {error}")
        self._end(key, estimator, status)

    def _log_picture(self, run_id, estimator):
        network = network_in(estimator)
        if not (len(getattr(network, "loss_curve_", ())) or hasattr(network, "members_")):
            return
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        figure = Figure(layout="constrained")
        TrainingCurveDisplay.from_estimator(estimator, ax=figure.add_subplot())
        self.client.log_figure(run_id, figure, "training_curve.png")

    def _log_model(self, run_id, estimator, X):
        import mlflow

        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file leaves out, and MLflow's advice about integers
            example = X.iloc[:5] if hasattr(X, "iloc") else X[:5]
            given = {
                "signature": mlflow.models.infer_signature(example, estimator.predict(example)),
                "input_example": example,
                "pip_requirements": [f"{name}=={version}" for name, version in versions().items() if name in _TOLD],
            }
            path = os.path.join(folder, "model")
            if isinstance(estimator, BaseMLP | Perceptron | BaseTabularMLP):
                file = os.path.join(folder, "model.fastmlp")
                estimator.save(file)
                mlflow.pyfunc.save_model(path, loader_module="fastmlp.tracking", data_path=file, **given)
            else:
                estimator = copy.copy(getattr(estimator, "best_estimator_", estimator))
                for name in ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx"):
                    vars(estimator).pop(name, None)  # this callback is no part of the model
                mlflow.sklearn.save_model(estimator, path, skops_trusted_types=SKOPS_TRUSTED_TYPES, **given)
            self.client.log_artifacts(run_id, path, "model")

    # scikit-learn's protocol

    def setup(self, estimator: Any, context: Any) -> None:
        """Before a fit; `on_fit_task_begin` of the whole fit opens the run."""
        self._broken, self._failed = False, True

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any = None, y: Any = None) -> None:
        """Open a run for the whole fit, for a member and for a fit within a search."""
        if not _has_run(context):  # an epoch, a step of a pipeline
            return
        place = _place(context)
        with self._recording() as open_:
            if open_ and len(place) == 1:
                self._root_X = X
                self._begin_root(place, estimator, X, y)
            elif open_ and place not in self._runs:
                label = context.source_task_name or context.task_name
                parent = next(place[:n] for n in range(len(place) - 1, 0, -1) if place[:n] in self._runs)
                self._begin(place, parent, f"{label} {context.task_id}", estimator)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Log an epoch, or end the run of what has been done."""
        told = getattr(context, "fastmlp_metrics", None)
        if told is None and not _has_run(context):
            return
        if context.parent is None:
            self._failed = False
            return
        with self._recording() as open_:
            if not open_:
                return
            if told is None:
                place = _place(context)
                if place in self._runs:
                    self._end(place, None if context.task_name == "member" else estimator)
                return
            step, metrics = told
            parent, owner = self._parent or (None, None)
            if parent is not context.parent:
                owner = _owner(context)
                self._parent = context.parent, owner
            if owner in self._runs:
                self._log(owner, metrics, step)

    def teardown(self, estimator: Any, context: Any) -> None:
        """After a fit, also one that failed or was interrupted: end its run."""
        status = status_after(sys.exception()) if self._failed else "FINISHED"
        with self._recording() as open_:
            place, self._parent = _place(context), None
            if open_ and place in self._runs:
                self._end_root(place, estimator, vars(self).pop("_root_X", None), status)

    # A function of epochs

    @contextmanager
    def run(self, estimator: Any, X: Any = None, y: Any = None) -> Iterator[Self]:
        """A run for the fit within the block, for estimators that have this callback in their parameter `callbacks`.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor, TabularMLPClassifier or TabularMLPRegressor
            The one that is fitted within the block.
        X, y : array-like, default=None
            Its data, for their fingerprint and the example of the model's input; without X no model is kept.
        """
        key = (id(estimator),)
        self._broken = False
        with self._recording() as open_:
            if open_:
                self._begin_root(key, estimator, X, y)
        self._following, status = key, "FINISHED"
        try:
            yield self
        except BaseException as error:
            status = status_after(error)
            raise
        finally:
            self._following = None
            with self._recording() as open_:
                if open_ and key in self._runs:
                    self._end_root(key, estimator, X, status)

    def __call__(self, estimator: Any, epoch: int, metrics: dict[str, Any]) -> None:
        """Log an epoch; as an entry of `callbacks`."""
        if self._following is None:
            raise ValueError("An MLflowCallback in callbacks needs the block `with callback.run(estimator, X, y):`.")
        with self._recording() as open_:
            key = self._following
            if not open_ or key not in self._runs:
                return
            if "member" in metrics:
                key = (*key, metrics["member"])
                if key not in self._runs:
                    self._begin(key, self._following, f"member {metrics['member']}", estimator)
            self._log(key, metrics, epoch)


_TOLD = ("fastmlp", "numpy", "scipy", "scikit-learn", "pandas", "safetensors", "skops")


def _import_mlflow():
    try:
        import mlflow
        import sqlalchemy  # noqa: F401  mlflow-skinny lacks it
    except ImportError as error:
        raise ImportError('Tracking needs MLflow: pip install "fastmlp[tracking]".') from error
    return mlflow


@contextmanager
def _only_process(uri):
    """Hold a lock on the file of a database: two processes must not make its tables at the same time."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    import fcntl

    with ExitStack() as stack:
        with suppress(OSError):  # where nothing can be written, the database will say so
            file = stack.enter_context(open(f"{uri.removeprefix('sqlite:///')}.lock", "w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _refuse_silent_server(uri):
    """Raise an OSError where no server listens: MLflow's client would try for four minutes."""
    address = urlsplit(uri)
    port = {"http": 80, "https": 443}.get(address.scheme)
    if port is None or address.scheme in getproxies() and not proxy_bypass(address.hostname):
        return
    try:
        socket.create_connection((address.hostname, address.port or port), timeout=10).close()
    except OSError as error:
        raise ConnectionError(f"there is no server at {uri}: {error.strerror or error}") from None


def reason_of(error):
    """In a line what was first to go wrong: SQLAlchemy and MLflow wrap what the database said."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def status_after(error):
    """MLflow's word for a run that an exception ended."""
    return "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"


def _has_run(context):
    """Whether a task has a run of its own."""
    return context.parent is None or (context.source_task_name or context.task_name) in _OWN_RUNS


def _owner(context):
    """Where the task is whose run a task belongs to."""
    while not _has_run(context):
        context = context.parent
    return _place(context)


def _place(context):
    """Where a task is in the tree of tasks."""
    path = []
    while context.parent is not None:
        path.append((context.source_task_name or context.task_name, context.task_id))
        context = context.parent
    return ((str(context.root_uuid), 0), *reversed(path))
