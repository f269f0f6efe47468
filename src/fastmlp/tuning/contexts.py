"""scikit-learn's callbacks (from 1.9 on) of a search: told of it as they are of scikit-learn's own searches."""

from contextlib import contextmanager
from itertools import count

__all__ = ["Contexts"]


class Contexts:
    """The contexts of a search: of the whole, of all fits of folds together, of each of them, and of the last fit.

    Parameters
    ----------
    search : BaseSearchCV
        With callbacks.
    X, y, sample_weight : array-like or None
        As given to its `fit`.
    """

    def __init__(self, search, X, y, sample_weight):
        self.search, self.numbers = search, count()
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": search, "X": X, "y": y, "metadata": metadata}
        self.root = search._init_callback_context(max_subtasks=1 + (search.refit is not False))
        self.root.call_on_fit_task_begin(**self.data)
        self.fits = self.root.subcontext(task_name="search", max_subtasks=None, sequential_subtasks=False)
        self.fits.call_on_fit_task_begin(estimator=search)

    def of_fit(self):
        """What `_fit_and_score` takes for the fit of a fold."""
        context = self.fits.subcontext(task_name="candidate-split-evaluation", task_id=next(self.numbers))
        return {"caller": self.search, "callback_ctx": context}

    def fits_end(self):
        self.fits.call_on_fit_task_end(estimator=self.search)

    @contextmanager
    def last_fit(self, estimator):
        """Around the fit to all data."""
        context = self.root.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**self.data)
            yield
        context.call_on_fit_task_end(**self.data)

    def end(self):
        self.root.call_on_fit_task_end(**self.data)
