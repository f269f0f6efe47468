"""Runs of experiments recorded in MLflow: a run of each, and below it one of each fit with its curves."""

import logging
import warnings
from contextlib import ExitStack, contextmanager

import numpy as np

from ..tracking import MLflowCallback
from ..tracking.callback import reason_of, status_after
from .experiment import flat

__all__ = ["Recorder", "quiet_mlflow"]


@contextmanager
def quiet_mlflow():
    """Keep MLflow's log, with its tracebacks, off the terminal: what matters of it the commands say in a sentence."""
    import mlflow  # noqa: F401  which sets up its log

    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


class Recorder:
    """Records a run in MLflow while it goes on; what MLflow refuses does not end the run, and is in `complaint`."""

    def __init__(self, run, wanted, tracking_uri=None):
        self.run, self.complaint, self.tracking_uri = run, None, tracking_uri
        self.wanted = bool(wanted)
        self.parent, self.callback = None, None

    def _try(self, act):
        """Do something with MLflow's client, as long as it works."""
        if self.wanted and self.complaint is None:
            try:
                act()
            except Exception as error:  # of the database, the server, the disk
                self.complaint = reason_of(error)

    def __enter__(self):
        with ExitStack() as stack:
            if self.wanted:
                stack.enter_context(quiet_mlflow())
            self._quiet = stack.pop_all()
        return self

    def begin(self):
        """Open the run in MLflow, or go on with it; the run says what it is made of by then."""
        self._try(self._begin)

    def _begin(self):
        state = self.run.state
        self.callback = MLflowCallback(state["experiment"]["name"], tracking_uri=self.tracking_uri, log_model=False)
        client, experiment_id = self.callback.client, self.callback.prepare()
        tags = state["machine"] | {"data": state["data"]["hash"], "folder": str(self.run.folder.absolute())}
        if state["git"]:
            tags["mlflow.source.git.commit"] = state["git"]["commit"]
        if (earlier := state.get("mlflow")) and earlier["uri"] == self.callback.tracking_uri:
            self.parent = earlier["run"]
            client.update_run(self.parent, status="RUNNING")
            return
        self.parent = client.create_run(experiment_id, tags=tags, run_name=self.run.name).info.run_id
        for name, value in flat(state["experiment"]).items():
            client.log_param(self.parent, name.removeprefix("estimator.params."), str(value)[:500])
        state["mlflow"] = {"uri": self.callback.tracking_uri, "run": self.parent}
        self.run.write()

    @contextmanager
    def fit(self, estimator, key):
        """Record what is fitted within the block, if the estimator tells of epochs."""
        told = [name for name in estimator.get_params() if name.rpartition("__")[2] == "callbacks"]
        if self.parent is None or self.complaint is not None or not told:
            yield
            return
        self.callback.run_name, self.callback.tags = key, {"mlflow.parentRunId": self.parent}
        estimator.set_params(**dict.fromkeys(told, self.callback))
        with warnings.catch_warnings(record=True) as said, self.callback.run(estimator):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", message="MLflow at .* does not record")
            yield
        estimator.set_params(**dict.fromkeys(told))
        if said:
            self.complaint = str(said[-1].message)

    def fold_ends(self, scores):
        """Log the scores of the last fit on the rows that it has not seen."""
        if self.callback is not None:
            for name, value in scores.items():
                self._try(lambda name=name, value=value: self.callback.client.log_metric(
                    self.callback.run_id_ if "run_id_" in vars(self.callback) else self.parent, name, value
                ))  # fmt: skip

    def __exit__(self, kind, error, trace):
        with self._quiet:
            if self.parent is not None:
                self._try(lambda: self._end("FINISHED" if error is None else status_after(error)))

    def _end(self, status):
        client, run = self.callback.client, self.run
        if status == "FINISHED":
            for metric in run.metrics():
                scores = run.scores(metric)
                client.log_metric(self.parent, metric, float(np.mean(scores)))
                client.log_metric(self.parent, f"{metric}_std", float(np.std(scores)))
            client.set_tag(self.parent, "digest", run.state["model"]["digest"])
            for path in run.folder.iterdir():
                if path.is_file():
                    client.log_artifact(self.parent, str(path))
        client.set_terminated(self.parent, status)
