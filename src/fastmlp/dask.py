"""Multilayer perceptrons fitted by many processes, on one machine or several: by Dask or by an executor."""

import copy
from functools import partial, wraps
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import assert_all_finite

from .borrowed import Interval, StrOptions
from .data.partitions import CollectionShards, CollectionSource, delayed_parts, is_collection, others_of
from .data.shards import Shards
from .data.sources import Source
from .engine import OPTIMIZERS
from .estimators.classifier import MLPClassifier, has_margins, has_probabilities
from .estimators.inputs import effective_n_jobs
from .estimators.parameters import constructor
from .estimators.regressor import MLPRegressor
from .estimators.targets import check_numbers
from .exports.scikit_learn import counterpart
from .training.replicas import FEWEST_STEPS, MOST_STEPS, FullBatchFit, ReplicatedFit, SummedShards
from .training.scores import Deviations
from .training.tasks import Tasks, tree

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]

_COUNT = Interval(Integral, 1, None, closed="left")
_FITS = {"local_sgd": ReplicatedFit, "full_batch": FullBatchFit}
_CONSTRAINTS = {"n_replicas": [_COUNT], "n_inner_steps": [_COUNT, None], "strategy": [StrOptions({*_FITS})]}
_DOCUMENTATION = f"""\
    client : distributed.Client, executor or None, default=None
        What runs the tasks: a client of Dask, or an executor with `submit`, such as
        `concurrent.futures.ProcessPoolExecutor` or `mpi4py.futures.MPIPoolExecutor`. None is Dask's current client.
        It is no part of the model: copies and clones have the same one, pickles have None.
    n_replicas : int, default=4
        Networks that the mini-batch solvers train side by side, each on a part of the rows of its own; with "lbfgs" and
        "full_batch" the parts that loss and gradient are summed by. The model depends on it, and not on the number of
        processes.
    n_inner_steps : int or None, default=None
        Updates of each replica from one average to the next, nearly; None is a tenth of an epoch, but at least
        {FEWEST_STEPS} and at most {MOST_STEPS}. It is never more than an epoch has. No effect with "lbfgs" and
        "full_batch".
    strategy : {{"local_sgd", "full_batch"}}, default="local_sgd"
        What solvers other than "lbfgs" do: "local_sgd" trains replicas by mini-batches and averages them;
        "full_batch" makes one update an epoch, by the gradient of all rows, as one process does with
        ``batch_size=n_samples``. It needs many more epochs.

    Notes
    -----
    The other parameters and the attributes are those of the estimator of one process. Two of them mean something else:
    `batch_size` is that of each replica, and `n_jobs` says how many threads a task has, one if it is None.
    "schedule_free_adamw" is refused, and so are `max_norm` with "local_sgd" and dropout with "full_batch".

    docs/more-than-one-machine.md says when it pays, and what is measured.

    References
    ----------
    Douillard et al. (2023), "DiLoCo: Distributed Low-Communication Training of Language Models", arXiv:2311.08105, for
    the step that the average of the replicas is taken as."""


# Parameters beside those of the estimators of one process
_OWN = {"client": None, "n_replicas": 4, "n_inner_steps": None, "strategy": "local_sgd"}


class ClientTasks(Tasks):
    """Tasks of Dask.

    No task depends on those of another round: what it needs of them is in its arguments, which the scheduler has. So a
    process that dies costs what it had done of one round.

    Parameters
    ----------
    client : distributed.Client
    """

    def _futures(self, function, common, each):
        # without `workers`: where all of those are gone, such a task waits for ever, also with allow_other_workers
        return [self._executor.submit(function, *common, *arguments, pure=False) for arguments in each]

    def shared(self, value):
        return self._executor.submit(_same, value, pure=False)

    def map(self, function, common, each):
        return self._executor.gather(self._futures(function, common, each))

    def reduce(self, combine, function, common, each):
        def submitted(*pair):
            return self._executor.submit(combine, *pair, pure=False)

        return tree(submitted, self._futures(function, common, each)).result()


def _same(value):
    return value


class _DaskMixin:
    """What both estimators share: goes before the estimator that it makes one of many processes of."""

    _local: ClassVar[type]

    def __getstate__(self):
        return super().__getstate__() | {"client": None}

    def __copy__(self):
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __deepcopy__(self, memo):
        made = type(self).__new__(type(self))
        own = ("client", *self._transient)
        vars(made).update({n: copy.deepcopy(v, memo) for n, v in vars(self).items() if n not in own})
        made.client = self.client
        return made

    def __sklearn_clone__(self):
        bare = copy.copy(self)
        bare.client = None
        made = super(_DaskMixin, bare).__sklearn_clone__()
        made.client = self.client
        return made

    # Fitting

    def fit(self, X, y=None, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network to rows that many processes read.

        Parameters
        ----------
        X : dask Array, dask DataFrame or source
            Training data, of shape (n_samples, n_features). A source, of `scan_parquet` or `scan_npy`, has files that
            every process can read, y and sample_weight too.
        y : dask Array, Series or DataFrame of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets, in the partitions of X. None beside a source alone.
        sample_weight : dask Array or Series of shape (n_samples,), default=None
            Non-negative weights, not all zero.
        X_val : array-like or source, default=None
            Validation data, which the calling process looks at after every epoch.
        y_val, sample_weight_val : array-like, default=None
            Their targets and weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            As those of the estimators of one process; or if X is an array, or what no cluster can read.
        ImportError
            If `client` is None and Dask is not installed: ``pip install "fastmlp[dask]"``.
        """
        client = _current() if self.client is None else self.client
        on_dask = hasattr(client, "nthreads")
        if on_dask and client.asynchronous:
            raise ValueError(f"client={client!r} is asynchronous: fit waits for it.")
        if not callable(getattr(client, "submit", None)):
            raise TypeError(f"client must be a client of Dask or an executor with submit, got {client!r}.")
        if is_collection(X):
            if not on_dask:
                raise TypeError(f"X={type(X).__name__} of Dask needs a client of Dask, got client={client!r}.")
            X, y, sample_weight = CollectionSource(X, y, sample_weight, client), None, None
        elif not isinstance(X, Source):
            raise TypeError(
                f"X must be a Dask array, a Dask frame or a source, got {type(X).__name__}: for arrays use"
                f" {self._local.__name__}, dask.array.from_array or scan_npy of files."
            )
        elif X.in_memory:
            raise TypeError(f"X={X} has arrays of this process: write them to files, or use dask.array.from_array.")
        self._check_supported()
        self._client = client
        try:
            validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
            return super().fit(X, y, sample_weight, **validation)
        finally:
            del self._client

    def _check_supported(self):
        """Refuse what averages of replicas, or sums of gradients, would spoil."""
        if self.solver == "schedule_free_adamw":
            raise ValueError("solver='schedule_free_adamw' averages iterates itself: use 'adamw'.")
        if self.solver not in OPTIMIZERS:
            return
        if self.strategy == "local_sgd" and self.max_norm is not None:
            raise ValueError(f"max_norm={self.max_norm!r} is not kept by averages of replicas: it must be None.")
        for name in ("dropout", "input_dropout") if self.strategy == "full_batch" else ():
            if np.any(getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)!r} needs strategy='local_sgd', got 'full_batch'.")

    def _streams(self, X):
        return isinstance(X, Source)

    def _stream_of(self, *arguments):
        client = self._client
        named = {"n_replicas": int(self.n_replicas)}
        if isinstance(arguments[0], CollectionSource):
            return CollectionShards(*arguments, tasks=ClientTasks(client), client=client, **named)
        return Shards(*arguments, tasks=(ClientTasks if hasattr(client, "nthreads") else Tasks)(client), **named)

    def _streamed_fit(self, plan):
        return partial(_FITS[self.strategy], plan=self._plan_of_tasks(plan))

    def _summed_network(self, network, data, plan):
        return SummedShards(network, data, self._plan_of_tasks(plan))

    def _plan_of_tasks(self, plan):
        """The arguments of a network in a task, which has one thread unless `n_jobs` says more."""
        threads = 1 if self.n_jobs is None else partial(effective_n_jobs, self.n_jobs)
        return plan | {"max_threads": threads}

    def _warn_if_clustered(self, source, statistics):
        """Shards have rows of everywhere, however these are sorted."""

    # What it is when it is fitted

    def to_local(self):
        """The same model as an estimator of one process.

        Returns
        -------
        MLPClassifier or MLPRegressor
            With copies of all that was learnt, and of the parameters that it has.
        """
        made = counterpart(self._local, self)
        made._keep_predictors()
        return made

    def save(self, path):
        """Write the model to a file, as one of an estimator of one process; see its `save`.

        Parameters
        ----------
        path : str or path-like
            The file.
        """
        self.to_local().save(path)

    def _predicted(self, method, X):
        """What a method gives for a collection, as a Dask array."""
        model = self.to_local()
        meta = X._meta
        row = meta.reindex([0], fill_value=0) if hasattr(meta, "reindex") else np.zeros((1, X.shape[1]), meta.dtype)
        like = getattr(model, method)(row)
        if isinstance(like, list):
            raise TypeError(f"{method} of several outputs of classes takes arrays, not collections of Dask.")
        if hasattr(X, "rechunk"):
            chunks = {"drop_axis": 1} if like.ndim == 1 else {"chunks": (X.chunks[0], (like.shape[1],))}
            rows = X.rechunk({1: -1})
            return rows.map_blocks(_predicted, model=model, method=method, like=like, dtype=like.dtype, **chunks)
        import pandas as pd

        meta = (pd.Series if like.ndim == 1 else pd.DataFrame)(like[:0])
        frame = X.map_partitions(_predicted, model=model, method=method, like=like, frames=True, meta=meta)
        return frame.to_dask_array()

    def predict(self, X):
        """Predict as the estimator of one process does; for a collection of Dask partition by partition.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask Array, dask DataFrame} of shape (n_samples, n_features) or source
            Samples.

        Returns
        -------
        y : ndarray, or dask Array where X is a collection
        """
        return self._predicted("predict", X) if is_collection(X) else super().predict(X)

    def score(self, X, y=None, sample_weight=None):
        """The score of the estimator of one process; of collections of Dask by sums over their partitions.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask Array, dask DataFrame} of shape (n_samples, n_features) or source
            Samples. A source has y and sample_weight too.
        y : array-like or collection of shape (n_samples,) or (n_samples, n_outputs), default=None
            True targets; a collection, in the partitions of X, where X is one.
        sample_weight : array-like or collection of shape (n_samples,), default=None
            Weights, likewise.

        Returns
        -------
        score : float

        Raises
        ------
        ValueError, TypeError
            As those of the estimators of one process; if collections have other partitions than X, if all weights are
            zero, or for loss="quantile", whose score needs all targets together.
        """
        if not is_collection(X):
            return super().score(X, y, sample_weight)
        from dask import compute, delayed

        if y is None:
            raise ValueError("y must be given where X is no source, got None.")
        if self.loss == "quantile":
            raise ValueError("score with loss='quantile' takes arrays or a source: it needs all targets together.")
        model = delayed(self.to_local(), traverse=False)
        tasks = [delayed(_scored)(model, self._score_of_part, *part) for part in delayed_parts(X, y, sample_weight)]
        client = self.client
        parts = client.gather(client.compute(tasks)) if hasattr(client, "nthreads") else compute(*tasks)
        parts = [part for part in parts if part is not None]
        if not parts:
            raise ValueError("score needs rows with a sample_weight above zero, got none.")
        return self._score_of(parts)


def _scored(model, score_of_part, X, y, weight):
    """A task: what the score needs to know of a partition; None if there is nothing in it."""
    n_rows, y, weight = others_of(X, y, weight)
    weight = np.ones(n_rows) if weight is None else weight.ravel()
    for name, n in (("y", len(y)), ("sample_weight", len(weight))):
        if n != n_rows:
            raise ValueError(f"{name} has {n} rows in a partition of {n_rows} rows of X.")
    return score_of_part(model, X, y, weight) if weight.any() else None


def _hits_of(model, X, y, weight):
    total = float(weight.sum())
    return total * model.score(X, y, weight), total


def _deviations_of(model, X, y, weight):
    check_numbers(y, "y")
    assert_all_finite(y, input_name="y")
    outputs = model.predict(X).reshape(len(y), -1)
    y = y.reshape(len(y), -1)
    if y.shape != outputs.shape:
        raise ValueError(f"y must have {outputs.shape[1]} columns, one for each output, got {y.shape[1]}.")
    return Deviations.of(y, outputs, weight)


def _predicted(X, *, model, method, like, frames=False):
    """A task: predictions for a partition."""
    predicted = getattr(model, method)(X) if len(X) else like[:0]
    if not frames:
        return predicted
    import pandas as pd

    return (pd.Series if like.ndim == 1 else pd.DataFrame)(predicted)


def _current():
    """Dask's current client."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError('client=None needs Dask: pip install "fastmlp[dask]".') from error
    try:
        return distributed.get_client()
    except ValueError as error:
        raise ValueError("client=None needs a client of Dask, and there is none: make one, or set client.") from error


class DaskMLPClassifier(_DaskMixin, MLPClassifier):
    __doc__ = f"""`MLPClassifier` on rows that several processes read, on one machine or many.

    The mini-batch solvers train replicas of the network, which are averaged round by round (local SGD); "lbfgs", and
    the others with ``strategy="full_batch"``, sum loss and gradient over parts of the rows. The model is the same bit
    for bit for any number of processes, also if some of them are killed in the middle.

    Parameters
    ----------
{_DOCUMENTATION}

    See Also
    --------
    fastmlp.MLPClassifier : The estimator of one process, with all parameters and attributes.

    Examples
    --------
    >>> import dask.array as da
    >>> from dask.distributed import Client
    >>> from fastmlp.dask import DaskMLPClassifier
    >>> with Client() as client:  # doctest: +SKIP
    ...     model = DaskMLPClassifier(random_state=0).fit(da.from_array(X), da.from_array(y))
    """

    _local = MLPClassifier
    _score_of_part = staticmethod(_hits_of)
    _parameter_constraints: ClassVar[dict] = {**MLPClassifier._parameter_constraints, **_CONSTRAINTS}
    __init__ = constructor(MLPClassifier, **_OWN)

    def _score_of(self, parts):
        right, total = map(sum, zip(*parts, strict=True))
        return right / total

    @available_if(has_probabilities)
    @wraps(MLPClassifier.predict_proba)
    def predict_proba(self, X):
        return self._predicted("predict_proba", X) if is_collection(X) else super().predict_proba(X)

    @available_if(has_probabilities)
    @wraps(MLPClassifier.predict_log_proba)
    def predict_log_proba(self, X):
        return self._predicted("predict_log_proba", X) if is_collection(X) else super().predict_log_proba(X)

    @available_if(has_margins)
    @wraps(MLPClassifier.decision_function)
    def decision_function(self, X):
        return self._predicted("decision_function", X) if is_collection(X) else super().decision_function(X)


class DaskMLPRegressor(_DaskMixin, MLPRegressor):
    __doc__ = f"""`MLPRegressor` on rows that several processes read, on one machine or many.

    It differs from that as `DaskMLPClassifier` does from `MLPClassifier`.

    Parameters
    ----------
{_DOCUMENTATION}

    See Also
    --------
    fastmlp.MLPRegressor : The estimator of one process, with all parameters and attributes.
    """

    _local = MLPRegressor
    _score_of_part = staticmethod(_deviations_of)
    _parameter_constraints: ClassVar[dict] = {**MLPRegressor._parameter_constraints, **_CONSTRAINTS}
    __init__ = constructor(MLPRegressor, **_OWN)

    def _score_of(self, parts):
        return tree(Deviations.plus, parts).r2()
