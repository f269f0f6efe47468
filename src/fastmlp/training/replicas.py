"""Fits whose rows are trained on by tasks: replicas that are averaged round by round, and exact sums over shards.

A round is a set of tasks that begin with the same state, each with rows of its own, and the combination of what they
return in a fixed order. Tasks are pure functions, and which shards there are does not depend on who runs them: so a fit
gives the same bits with any number of processes, and with any of them killed.
"""

import copy
import math
import warnings
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ..engine import Network
from .documents import are_arrays, is_count, is_number, require
from .optimizers import Optimizer
from .streams import StreamedFit, SummedNetwork

__all__ = ["FEWEST_STEPS", "MOST_STEPS", "FullBatchFit", "ReplicatedFit", "Sum", "SummedShards"]

# Douillard et al. (2023), "DiLoCo", arXiv:2311.08105, table 5
OUTER_RATE, OUTER_MOMENTUM = 0.7, 0.9
# Updates of a round, unless it is said: a tenth of an epoch, within these limits; bench/results/replicas.md
FEWEST_STEPS, MOST_STEPS = 10, 30


class Job(NamedTuple):
    """What all tasks of a fit have in common."""

    shards: Any  # of data.shards
    plan: dict  # the arguments of Network
    alpha: float = 0.0
    batch_size: int = 0
    seed: int | None = None  # of the order of rows; None: as they are
    held_by: int | None = None
    share: float = 0.0

    def network(self, parameters):
        """A network with the values of parameters."""
        network = Network(**self.plan)
        for own, values in zip(network.coefs + network.intercepts, parameters, strict=True):
            own[...] = values
        return network


class Round(NamedTuple):
    """What the replicas begin a round with."""

    parameters: list
    optimizer: Optimizer
    rates: np.ndarray | None  # of the round's updates
    epoch: int
    part: int  # of `n_parts` of a shard's batches
    n_parts: int


class Sum(NamedTuple):
    """What tasks return, added up."""

    arrays: list  # parameters and moments, or gradients
    loss: float  # times the rows or weights
    total: float  # of the rows or weights
    t: int = 0  # of the optimizer that has done the most updates, and its memory
    memory: list = []  # noqa: RUF012

    def plus(self, other):
        """The sum of two."""
        most = self if self.t >= other.t else other
        arrays = [a + b for a, b in zip(self.arrays, other.arrays, strict=True)]
        return Sum(arrays, self.loss + other.loss, self.total + other.total, most.t, most.memory)


def train(job, begun, number, shard, replica):
    """A task: one replica's updates of a round.

    Parameters
    ----------
    job : Job
    begun : Round
    number : int
        Of the shard.
    shard : Shard or None
        Its rows; None: they are read.
    replica : int

    Returns
    -------
    trained : Sum
    """
    shard = job.shards.loaded(number, job.held_by, job.share, shard)
    rows = shard.order() if job.seed is None else shard.order(job.seed, begun.epoch, number)
    n_batches = -(-len(rows) // job.batch_size)
    first, stop = (n_batches * part // begun.n_parts for part in (begun.part, begun.part + 1))
    rows = rows[first * job.batch_size : stop * job.batch_size]
    network = job.network(begun.parameters)
    optimizer = begun.optimizer.on(network)
    optimizer.rates = None if begun.rates is None else begun.rates[: stop - first].copy()  # aligned
    if optimizer.dropout_seed is not None:
        seed = np.random.SeedSequence((optimizer.dropout_seed, replica))
        optimizer.dropout_seed = int(seed.generate_state(1, np.uint64)[0])
    network.bind(shard.data.X, shard.data.y, shard.data.sample_weight)
    loss = network.epoch(rows, job.batch_size, optimizer, job.alpha)
    arrays = [*network.coefs, *network.intercepts, *chain(*optimizer.moments)]
    return Sum(arrays, loss * len(rows), len(rows), optimizer.t, optimizer.memory)


def gradient(job, parameters, number, shard):
    """A task: loss and gradient summed over a shard's rows to train on, as `Sum`."""
    shard = job.shards.loaded(number, job.held_by, job.share, shard)
    rows = shard.order()
    if len(rows) == 0:
        return Sum([np.zeros_like(param) for param in parameters], 0.0, 0.0)
    network = job.network(parameters)
    network.bind(shard.data.X, shard.data.y, shard.data.sample_weight)
    loss, weight, gradients = network.sums(rows if job.share else None)
    return Sum(gradients, loss, weight)


class SummedShards(SummedNetwork):
    """A network whose loss and gradient over all rows are sums over shards, two by two.

    Parameters
    ----------
    network : Network
    shards : Shards
    plan : dict
        The arguments of the network.
    """

    def __init__(self, network, shards, plan):
        super().__init__(network, shards)
        self._tasks, job = shards.tasks, Job(shards, plan)
        self._job = self._tasks.shared(job)
        self._each = list(enumerate(shards.references(None, 0.0)))

    def _summed(self):
        given = self._tasks.shared([param.copy() for param in self.coefs + self.intercepts])
        summed = self._tasks.reduce(Sum.plus, gradient, (self._job, given), self._each)
        return summed.arrays, summed.loss, summed.total


class _Begun(NamedTuple):
    """Where an epoch stands between two rounds."""

    round: int = 0  # the next one
    steps: int = 0  # updates of the replica that has done the most
    loss: float = 0.0  # times rows
    n_rows: int = 0


class _FitByTasks(StreamedFit):
    """A fit by epochs, the rows of which tasks train on.

    Parameters
    ----------
    network, params, random_state, validation_data, before
        As for `Fit`.
    data : Shards
    plan : dict
        The arguments of the network.
    """

    def __init__(self, network, params, random_state, data, validation_data=None, *, plan, before, incremental):
        super().__init__(network, params, random_state, data, validation_data, before=before, incremental=incremental)
        self._plan = plan

    @cached_property
    def _job(self):
        seed = self.seed if self.shuffle else None
        job = Job(self.data, self._plan, self.alpha, self.batch_size, seed, self.seed, self.share)
        return self.data.tasks.shared(job)

    @cached_property
    def _shards(self):
        return self.data.references(self.seed, self.share)

    def _copies(self):
        """The parameters as tasks take them."""
        return [param.copy() for param in self.parameters]


class FullBatchFit(_FitByTasks):
    """A fit of which each epoch is one update, by the gradient of all rows: the sum of those of the shards."""

    n_batches, n_parts = 1, 0

    def _pass(self):
        self.optimizer.iteration_begins(1, self.max_iter)
        tasks = self.data.tasks
        summed = tasks.reduce(Sum.plus, gradient, (self._job, tasks.shared(self._copies())), [*enumerate(self._shards)])
        return self.network.step(summed.loss, summed.total, summed.arrays, self.optimizer, self.alpha)


class ReplicatedFit(_FitByTasks):
    """A fit by epochs of several replicas, which train apart for a round and are then averaged.

    The average of the parameters, less those that the round began with, is a step of an optimizer of its own: Nesterov
    momentum [1]_. The moments of the inner optimizer are averaged too. Of `params` it takes n_inner_steps too.

    References
    ----------
    .. [1] Douillard et al. (2023), "DiLoCo: Distributed Low-Communication Training of Language Models",
       arXiv:2311.08105.
    """

    def __init__(self, network, params, *arguments, **named):
        super().__init__(network, params, *arguments, **named)
        self._inner_steps = params["n_inner_steps"]
        self.velocity = [np.zeros_like(param) for param in self.parameters]

    def begin(self, validation=None, relative_tol=False):
        super().begin(validation, relative_tol)
        n_replicas, fewest = self.data.n_replicas, int(self._n_batches_of_shards.min())
        if int(self._counts.min()) == 0:
            raise ValueError(f"n_replicas={n_replicas} is too many for {self.n_trained} rows to train on.")
        if n_replicas > 1 and fewest < FEWEST_STEPS:
            warnings.warn(
                f"n_replicas={n_replicas} of {self.n_trained} rows have {fewest} batches of {self.batch_size} rows in"
                f" an epoch: with fewer than {FEWEST_STEPS} they are averaged too often, and the model is worse. Fewer"
                " replicas or smaller batches help."
            )

    # Rounds

    @cached_property
    def _counts(self):
        """Rows of each shard, of shape (n_slots, n_replicas)."""
        return self.data.counts(self.seed, self.share).reshape(self.data.n_slots, self.data.n_replicas)

    @property
    def _n_batches_of_shards(self):
        return -(-self._counts // self.batch_size)

    @cached_property
    def _rounds(self):
        """Slot, part, number of parts and most updates of each round of an epoch, slots in ascending order."""
        rounds = []
        for slot, n_batches in enumerate(self._n_batches_of_shards):
            fewest = int(n_batches.min())
            n_steps = self._inner_steps or min(MOST_STEPS, max(FEWEST_STEPS, fewest // 10))
            n_parts = max(1, round(fewest / n_steps))
            bounds = np.array([n_batches * part // n_parts for part in range(n_parts + 1)])
            most = np.diff(bounds, axis=0).max(axis=1).tolist()
            rounds += [(slot, part, n_parts, steps) for part, steps in enumerate(most)]
        return rounds

    @property
    def n_parts(self):
        return len(self._rounds)

    @property
    def n_batches(self):
        return sum(steps for *_, steps in self._rounds)

    def _pass(self):
        optimizer, at = self.optimizer, self.within or _Begun()
        optimizer.iteration_begins(self.n_batches, self.max_iter, done=at.steps)
        for slot, part, n_parts, steps in self._rounds[at.round :]:
            summed = self._round(slot, part, n_parts, at.steps, steps)
            self._step(summed)
            self._tell_part()
            at = _Begun(at.round + 1, at.steps + steps, at.loss + summed.loss, at.n_rows + summed.total)
            if at.round < len(self._rounds):
                self.within = at
                if self.checkpoint is not None and self.checkpoint.due():
                    self._write()
        self.within = None
        return at.loss / at.n_rows

    def _round(self, slot, part, n_parts, done, steps):
        """The sum of what the replicas come to in a round."""
        optimizer = copy.copy(self.optimizer)
        optimizer.plan = None  # which may be a function of the user's; rates are known
        rates = None if optimizer.rates is None else optimizer.rates[done : done + steps]
        begun = Round(self._copies(), optimizer, rates, self.progress.n_iter, part, n_parts)
        n_replicas, tasks = self.data.n_replicas, self.data.tasks
        numbers = range(slot * n_replicas, (slot + 1) * n_replicas)
        each = [(number, self._shards[number], replica) for replica, number in enumerate(numbers)]
        return tasks.reduce(Sum.plus, train, (self._job, tasks.shared(begun)), each)

    def _step(self, summed):
        """The outer step: Sutskever et al. (2013) in PyTorch's form, of the averaged difference as gradient."""
        n_replicas, optimizer, n_params = self.data.n_replicas, self.optimizer, len(self.parameters)
        for param, velocity, total in zip(self.parameters, self.velocity, summed.arrays, strict=False):
            difference = param - total / n_replicas
            velocity *= OUTER_MOMENTUM
            velocity += difference
            param -= OUTER_RATE * (difference + OUTER_MOMENTUM * velocity)
        for moment, total in zip(chain(*optimizer.moments), summed.arrays[n_params:], strict=True):
            moment[...] = total / n_replicas
        optimizer.t, optimizer.memory = summed.t, summed.memory

    # In a checkpoint

    def order_state(self):
        within = None if self.within is None else self.within._asdict()
        return {"seed": self.seed, "share": self.share, "within": within, "velocity": self.velocity}

    def set_order_state(self, state):
        self.seed, self.share, within = state["seed"], state["share"], state["within"]
        self.within = None if within is None else _Begun(**within)
        for own, values in zip(self.velocity, state["velocity"], strict=True):
            own[...] = values

    def check_order_state(self, state, with_values):
        n_trained, _ = super().check_order_state(state | {"within": None}, with_values)
        velocity, within = state["velocity"], state["within"]
        shapes = are_arrays(velocity, "f") and [(array.shape, array.dtype) for array in velocity]
        require(shapes == [(own.shape, own.dtype) for own in self.velocity], "its velocity is not the network's")
        if within is None:
            return n_trained, 0
        require(within.keys() == {*_Begun._fields}, "it is at no place within an epoch")
        counts = [within[name] for name in ("round", "steps", "n_rows")]
        require(all(map(is_count, counts)) and min(counts) > 0, "it counts no rounds")
        require(within["n_rows"] < n_trained and is_number(within["loss"]), "it has no loss of the epoch")
        require(math.isfinite(within["loss"]), "it has no loss of the epoch")
        return n_trained, 1
