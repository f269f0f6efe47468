"""Who is told of every epoch: functions, and scikit-learn's callbacks."""

import copy
from functools import cached_property

import numpy as np

from .fitted import OF_EPOCHS

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9, which has no set_callbacks either

    class CallbackSupportMixin:
        """Stands for scikit-learn's where there is none."""

    def with_callbacks(method):
        """The method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Listeners", "with_callbacks"]


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
    estimator : BaseMLP
        The one that is fitted.
    X, y, sample_weight : array-like, default=None
        As given to `fit`; handed to scikit-learn's callbacks, which are told only if there is an X.
    """

    def __init__(self, estimator, X=None, y=None, sample_weight=None):
        functions = estimator.callbacks
        if functions is None:
            functions = ()
        self.functions = (functions,) if callable(functions) else tuple(functions)
        self.estimator = estimator
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.root = self.step = None
        if X is not None and hasattr(estimator, "_skl_callbacks"):
            self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
            self.root.call_on_fit_task_begin(**self.data)

    def __bool__(self):
        return bool(self.functions) or self.root is not None

    def step_begins(self, task):
        """Before an epoch or iteration, as scikit-learn's contexts shall call it."""
        if self.root is not None:
            self.step = self.root.subcontext(task_name=task).call_on_fit_task_begin(**self.data)

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
        stop = False
        for function in self.functions:
            answer = function(fitted.estimator, number, dict(metrics))
            stop |= isinstance(answer, bool | np.bool_) and bool(answer)  # other values mean nothing
        if self.step is not None:
            stop |= self.step.call_on_fit_task_end(**self.data, reconstruction_attributes=lambda: fitted.attributes)
        return stop

    def fit_ends(self):
        """After the last one, when the estimator is fitted."""
        if self.root is not None:
            fitted = {name: value for name, value in vars(self.estimator).items() if name.endswith("_")}
            self.root.call_on_fit_task_end(**self.data, reconstruction_attributes=fitted)
