"""Who is told of every epoch: functions, and scikit-learn's callbacks."""

import copy
import math
from functools import cached_property

import numpy as np

from ..training.ensembles import Member
from .fitted import OF_EPOCHS

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9, which has no set_callbacks either

    class CallbackSupportMixin:
        """Stands for scikit-learn's where there is none."""

    def with_callbacks(method):
        """The method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Listeners", "MemberListeners", "with_callbacks"]


class _Fitted:
    """The fitted attributes after an epoch, made once, when they are first asked for."""

    def __init__(self, estimator, attributes):
        self._estimator, self._attributes = estimator, attributes

    @cached_property
    def attributes(self):
        return self._attributes()

    @cached_property
    def estimator(self):
        """A copy of the estimator as if `fit` had stopped here."""
        fitted = copy.copy(self._estimator)
        for name in OF_EPOCHS:  # of an earlier fit
            vars(fitted).pop(name, None)
        vars(fitted).update(self.attributes)
        return fitted


class Listeners:
    """Functions of (estimator, epoch, metrics) and scikit-learn's callback contexts, told of a fit as it goes on.

    Parameters
    ----------
    estimator : BaseMLP or BaseTabularMLP
        The one that is fitted.
    X, y, sample_weight : array-like, default=None
        As given to `fit`; handed to scikit-learn's callbacks, which are told only if there is an X.
    n_members : int, default=None
        The most members of an ensemble, whose tasks may be done side by side. None: there are at most `max_iter` tasks,
        one after another.
    """

    def __init__(self, estimator, X=None, y=None, sample_weight=None, n_members=None):
        functions = estimator.callbacks
        if functions is None:
            functions = ()
        self.functions = (functions,) if callable(functions) else tuple(functions)
        self.estimator = estimator
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.parent = self.root = self.step = None
        self.stop = False
        if X is not None and hasattr(estimator, "_skl_callbacks"):
            in_order = n_members is None
            self.root = estimator._init_callback_context(
                max_subtasks=estimator.max_iter if in_order else n_members, sequential_subtasks=in_order
            )
            self.root.call_on_fit_task_begin(**self.data)

    def __bool__(self):
        return bool(self.functions) or self.root is not None

    def of_member(self):
        """The same listeners for the steps of one member. scikit-learn's callbacks listen from `member_begins` on."""
        listeners = copy.copy(self)
        listeners.parent, listeners.root = self.root, None
        return listeners

    def member_begins(self, number, n_steps):
        """Before the first step of a member."""
        if self.parent is not None:
            task = self.parent.subcontext(task_name="member", task_id=number, max_subtasks=n_steps)
            self.root = task.call_on_fit_task_begin(**self.data)

    def step_begins(self, task, n_parts=0):
        """Before an epoch or iteration, as scikit-learn's contexts shall call it, of a number of parts."""
        if self.root is not None:
            step = self.root.subcontext(task_name=task, max_subtasks=n_parts)
            self.step = step.call_on_fit_task_begin(**self.data)

    def part_ends(self):
        """After a part of an epoch: tell scikit-learn's callbacks. If one asks to stop, the fit ends with the epoch."""
        if self.step is not None:
            part = self.step.subcontext(task_name="part").call_on_fit_task_begin(**self.data)
            self.stop |= part.call_on_fit_task_end(**self.data)

    def step_ends(self, number, metrics, attributes):
        """After an epoch or iteration.

        Parameters
        ----------
        number : int
            Which one, from 1.
        metrics : dict of str to float
        attributes : callable
            Gives the fitted attributes as they are now; weights are copies.

        Returns
        -------
        stop : bool
            Whether a function returned True itself, or a callback of scikit-learn's asks to stop here.
        """
        fitted = _Fitted(self.estimator, attributes)
        stop, self.stop = self.stop, False
        for function in self.functions:
            # no copy of the weights for a function that looks at the metrics alone
            given = self.estimator if getattr(function, "metrics_only", False) else fitted.estimator
            answer = function(given, number, dict(metrics))
            stop |= isinstance(answer, bool | np.bool_) and bool(answer)  # other values mean nothing
        if self.step is not None:
            step, self.step = self.step, None
            step.fastmlp_metrics = number, metrics  # for who would copy the weights to read the last of the curves
            stop |= step.call_on_fit_task_end(**self.data, reconstruction_attributes=lambda: fitted.attributes)
        return stop

    def fit_ends(self):
        """After the last one, when the estimator is fitted."""
        attributes = dict(vars(self.estimator))  # at once: another thread may predict, and keep its predictors
        self.task_ends({name: value for name, value in attributes.items() if name.endswith("_")})

    def task_ends(self, attributes):
        """After the last step of a fit, or of a member; gives whether a callback of scikit-learn's asks to stop."""
        if self.root is None:
            return False
        return self.root.call_on_fit_task_end(**self.data, reconstruction_attributes=attributes)


class MemberListeners:
    """Tells the listeners of a fit of each member, as `train_members` asks for; prints what `verbose` asks for.

    Parameters
    ----------
    listeners : Listeners
        Of the whole fit.
    n_members : int
        The most members.
    """

    def __init__(self, listeners, n_members):
        self.listeners, self.n_members = listeners, n_members
        self.verbose = listeners.estimator.verbose
        self.of = {}  # number of a member in training -> Listeners

    def __bool__(self):
        return bool(self.listeners) or bool(self.verbose)

    def member_begins(self, number, recipe):
        self.of[number] = self.listeners.of_member()
        self.of[number].member_begins(number, recipe.epochs)

    def epoch_begins(self, number, n_parts):
        self.of[number].step_begins("epoch", n_parts)

    def part_ends(self, number, recipe, epoch, done, n_rows):
        if self.verbose > 1:
            print(f"Member {number + 1} of {self.n_members}, epoch {epoch} of {recipe.epochs}: {done} of {n_rows} rows")
        self.of[number].part_ends()

    def epoch_ends(self, number, recipe, trained):
        epoch, loss = len(trained.losses), trained.losses[-1]
        metrics = {"member": number, "loss": loss}
        if trained.scores:
            metrics["validation_score"] = trained.scores[-1]
        if self.verbose > 1 or self.verbose and epoch % max(1, recipe.epochs // 10) in (0, recipe.epochs):
            score = metrics.get("validation_score", math.nan)
            print(
                f"Member {number + 1} of {self.n_members}, epoch {epoch} of {recipe.epochs}: loss = {loss:.6f},"
                f" validation score = {score:.6f}"
            )
        return self.of[number].step_ends(
            epoch, metrics, lambda: {"members_": [Member.of(trained, recipe)], "n_iter_": epoch}
        )

    def member_ends(self, number, result):
        member = copy.copy(result.member)  # its weight is still to come
        return self.of.pop(number).task_ends({"members_": [member], "n_iter_": len(member.loss_curve_)})
