"""A picture of a training: loss, validation and learning rate by epoch."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

__all__ = ["CURVES", "TrainingCurveDisplay", "network_in"]

# Okabe and Ito's palette, which colour-blind readers can tell apart
_COLORS = {"loss": "#0072B2", "validation_loss": "#D55E00", "validation_score": "#009E73", "learning_rate": "#CC79A7"}
# What the constructor takes -> the fitted attribute
CURVES = {
    "validation_loss": "validation_loss_curve_",
    "validation_score": "validation_scores_",
    "learning_rate": "learning_rate_curve_",
}


def network_in(estimator):
    """The estimator at the heart of fitted searches, pipelines and target transformers."""
    while True:
        for name in ("best_estimator_", "regressor_"):
            estimator = getattr(estimator, name, estimator)
        if not hasattr(estimator, "steps"):
            return estimator
        estimator = estimator.steps[-1][1]


def _are_several(curve):
    """Whether these are curves of several members."""
    return isinstance(curve, list | tuple) and len(curve) > 0 and np.ndim(curve[0]) > 0


def _of_members(curve):
    """A list of the curves of all members."""
    return list(curve) if _are_several(curve) else [curve]


class TrainingCurveDisplay:
    """Loss, validation loss and score, and learning rate by epoch.

    `from_estimator` makes one of a fitted model. All parameters are stored as attributes.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,), or list of these
        Training loss of each epoch; a list has those of an ensemble's members, and so have the other curves then.
    validation_loss : array-like of shape (n_epochs,), or list of these, default=None
        Validation loss of each epoch. NaN leaves a gap, here and in the other curves.
    validation_score : array-like of shape (n_epochs,), or list of these, default=None
        Validation score of each epoch; greater is better.
    learning_rate : array-like of shape (n_epochs,), or list of these, default=None
        Learning rate of each epoch. Drawn if it changes.
    best_epoch : int or list of int, default=None
        The epoch from 1 whose parameters are kept, or that of each member. None is the first where the validation score
        is highest, or without a score the validation loss lowest.
    score_name : str, default=None
        Name of the score. None is "Validation score".
    name : str, default=None
        Name of the model, put behind each label.

    Attributes
    ----------
    axes_ : dict of str to matplotlib Axes
        "loss" and, where they are drawn, "score" (the right axis) and "learning_rate" (a panel below).
    ax_ : matplotlib Axes
        The one of the loss.
    figure_ : matplotlib Figure
        Its figure.
    lines_ : dict of str to matplotlib Line2D or list of Line2D
        Under the names of the parameters, of several members lists. "best_epoch" is one vertical line, or of several
        members one line of points on their curves.

    Raises
    ------
    ValueError
        If the curves are empty, not of one dimension or not of the same length, or of other numbers of members.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier, TrainingCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(early_stopping=True, lr_schedule="cosine", random_state=0).fit(X, y)
    >>> TrainingCurveDisplay.from_estimator(model)
    <...>
    >>> plt.show()
    """

    axes_: dict[str, Any]
    ax_: Any
    figure_: Any
    lines_: dict[str, Any]

    def __init__(
        self,
        *,
        loss: ArrayLike,
        validation_loss: ArrayLike | None = None,
        validation_score: ArrayLike | None = None,
        learning_rate: ArrayLike | None = None,
        best_epoch: int | Sequence[int] | None = None,
        score_name: str | None = None,
        name: str | None = None,
    ) -> None:
        self.loss = loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.learning_rate = learning_rate
        self.best_epoch = best_epoch
        self.score_name = score_name
        self.name = name
        shapes = list(map(np.shape, _of_members(loss)))
        for shape in shapes:
            if len(shape) != 1 or shape == (0,):
                raise ValueError(f"loss must be of shape (n_epochs,) with at least one epoch, got {shape}.")
        for curve in CURVES:
            values = getattr(self, curve)
            if values is None:
                continue
            if _are_several(values) != _are_several(loss) or len(_of_members(values)) != len(shapes):
                raise ValueError(f"{curve} must be of as many members as loss, {len(shapes)}.")
            for shape, own in zip(shapes, map(np.shape, _of_members(values)), strict=True):
                if own != shape:
                    raise ValueError(f"{curve} must be of the shape of loss, {shape}, got {own}.")
        if best_epoch is not None and np.shape(best_epoch) != ((len(shapes),) if _are_several(loss) else ()):
            raise ValueError(f"best_epoch must be an epoch of each of {len(shapes)} members, got {best_epoch!r}.")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        score_name: str | None = None,
        name: str | None = None,
        line_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the training of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A fitted MLPClassifier or MLPRegressor, of fastmlp or scikit-learn, TabularMLPClassifier or
            TabularMLPRegressor, all of whose members are drawn; or a pipeline that ends in one, a search or a
            TransformedTargetRegressor over one.
        ax : matplotlib Axes, default=None
            As of `plot`.
        score_name : str, default=None
            Name of the score. None is "Validation score", with the `scoring` of the fit if that was a string.
        name : str, default=None
            Name of the model, put behind each label.
        line_kwargs : dict, default=None
            As of `plot`.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has no loss of an epoch, as after solver="lbfgs".
        ImportError
            Without matplotlib.

        Warns
        -----
        UserWarning
            If a curve has values of some epochs only, as when some calls of `partial_fit` had a validation set; which
            epochs these were is not known, and the curve is left out.
        """
        check_is_fitted(estimator)
        network = network_in(estimator)
        of = _of_ensemble if hasattr(network, "members_") else _of_network
        curves, scoring = of(network)
        if scoring == "loss":
            curves.pop("validation_score", None)  # the validation loss upside down
        elif score_name is None and isinstance(scoring, str):
            score_name = f"Validation score: {scoring}"
        display = cls(**curves, score_name=score_name, name=name)
        return display.plot(ax=ax, line_kwargs=line_kwargs)

    def plot(self, ax: Any = None, *, line_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. The learning rate takes the lower part of its place. The `ax_` of another display draws over
            that, on all of its axes. None makes a figure.
        line_kwargs : dict, default=None
            Keyword arguments of all curves, for ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay
            This one.

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        try:
            import matplotlib.pyplot as plt
            from matplotlib.cbook import normalize_kwargs
            from matplotlib.lines import Line2D
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError('TrainingCurveDisplay needs matplotlib: pip install "fastmlp[plot]"') from error

        curves = {
            name: [np.asarray(curve, float) for curve in _of_members(getattr(self, name))]
            for name in _COLORS
            if getattr(self, name) is not None
        }
        if not any(map(_changes, curves.get("learning_rate", ()))):
            curves.pop("learning_rate", None)
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        # on the Axes, so that a display after this one finds them
        axes = self.axes_ = ax._training_curve_axes = {"loss": ax, **getattr(ax, "_training_curve_axes", {})}
        if "validation_score" in curves and "score" not in axes:
            axes["score"] = self.ax_.twinx()
        if "learning_rate" in curves and "learning_rate" not in axes:
            self._add_panel()

        labels = {
            "loss": "Training loss",
            "validation_loss": "Validation loss",
            "validation_score": self.score_name or "Validation score",
            "learning_rate": "Learning rate",
        }
        given = normalize_kwargs(dict(line_kwargs or {}), Line2D)
        self.lines_ = {name: self._draw(name, members, labels[name], given) for name, members in curves.items()}
        self._mark_best_epochs(curves)

        self.ax_.set_ylabel("Loss")
        if "validation_score" in curves:
            color = np.ravel(self.lines_["validation_score"])[0].get_color()
            axes["score"].set_ylabel(labels["validation_score"], color=color)
            axes["score"].tick_params(axis="y", colors=color)
        lowest = axes.get("learning_rate", self.ax_)
        lowest.set_xlabel("Epoch")
        lowest.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        # the lines of both axes in one legend, above, where it hides none of them
        drawn = [*self.ax_.get_lines(), *(axes["score"].get_lines() if "score" in axes else ())]
        shown = [line for line in drawn if not line.get_label().startswith("_")]
        self.ax_.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
        return self

    def _add_panel(self):
        """A panel for the learning rate in the lower part of the place of the other axes."""
        figure, place = self.figure_, self.ax_.get_subplotspec()
        shares = {"nrows": 2, "ncols": 1, "height_ratios": (5, 2), "hspace": 0.12}
        if place is None:  # axes that were put somewhere by hand
            box = self.ax_.get_position()
            grid = figure.add_gridspec(**shares, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)
        else:
            grid = place.subgridspec(**shares)
        for axes in self.axes_.values():
            axes.set_subplotspec(grid[0])
        self.axes_["learning_rate"] = figure.add_subplot(grid[1], sharex=self.ax_)
        self.axes_["learning_rate"].set_ylabel("Learning rate", fontsize="small")
        self.axes_["learning_rate"].ticklabel_format(axis="y", scilimits=(-3, 4))
        self.ax_.tick_params(labelbottom=False)
        self.ax_.set_xlabel("")

    def _draw(self, name, members, label, given):
        """The line of a curve, or a list with a line for each member. The first line has the label."""
        axes = self.axes_[{"validation_score": "score", "learning_rate": "learning_rate"}.get(name, "loss")]
        several, lines = _are_several(self.loss), []
        for values in members:
            style = {"color": _COLORS[name], "label": "_" if lines else label + self._behind()}
            if several:
                style |= {"linewidth": 1.0, "alpha": 0.7}
            finite = np.pad(np.isfinite(values), 1)
            alone = np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])
            if len(alone) and "marker" not in given:  # a line through one point would not be seen
                style |= {"marker": ".", "markevery": alone.tolist()}
            lines += axes.plot(np.arange(1, len(values) + 1), values, **(style | given))
        return lines if several else lines[0]

    def _behind(self):
        """What labels end with."""
        return "" if self.name is None else f" ({self.name})"

    def _mark_best_epochs(self, curves):
        """A vertical line at the best epoch, or points on the curves of several members."""
        judged = next((name for name in ("validation_score", "validation_loss") if name in curves), "loss")
        best = self.best_epoch
        if best is None:
            best = [_best_epoch(judged, values) for values in curves[judged]]
        best = np.atleast_1d(np.array(best, dtype=float))
        known = np.flatnonzero(~np.isnan(best))
        if not len(known):
            return
        if not _are_several(self.loss):
            self.lines_["best_epoch"] = self.ax_.axvline(
                best[0], color="0.4", linestyle=":", linewidth=1.2, label=f"Best epoch: {best[0]:.0f}{self._behind()}"
            )
            return
        axes = self.lines_[judged][0].axes
        values = [curves[judged][i][int(best[i]) - 1] for i in known]
        style = {"color": "0.25", "linestyle": "", "marker": "o", "markersize": 4}
        label = f"Best epochs{self._behind()}"
        (self.lines_["best_epoch"],) = axes.plot(best[known], values, label=label, **style)


def _of_network(network):
    """The curves of a network, by parameter of the display, and what the scores are."""
    losses = getattr(network, "loss_curve_", None)
    if losses is None:
        which = type(network).__name__
        if hasattr(network, "solver"):
            which += f" with solver={network.solver!r}"
        raise ValueError(f"estimator must have a loss_curve_, which {which} does not give.")
    if len(losses) == 0:
        raise ValueError("estimator must have done an epoch, its loss_curve_ is empty.")
    curves = {"loss": losses}
    for curve, attribute in CURVES.items():
        values = getattr(network, attribute, None)
        if values is not None and len(values) != len(losses):
            warnings.warn(f"{attribute} is left out: it has {len(values)} values for {len(losses)} epochs.")
        else:
            curves[curve] = values
    scoring, _ = getattr(network, "_scored", (None, False))  # what the fit went by, whatever the parameter is now
    return curves, scoring


def _of_ensemble(ensemble):
    """Likewise of all members of an ensemble."""
    members = ensemble.members_
    # an epoch whose loss is not finite has no score
    scores = [
        member.validation_scores_ + [np.nan] * (len(member.loss_curve_) - len(member.validation_scores_))
        for member in members
    ]
    curves = {
        "loss": [member.loss_curve_ for member in members],
        "validation_score": scores,
        "best_epoch": [member.best_epoch_ for member in members],
    }
    return curves, ensemble.scoring


def _changes(rates):
    """Whether learning rates are known and not all the same."""
    rates = rates[np.isfinite(rates)]
    return rates.size > 0 and rates.min() < rates.max()


def _best_epoch(judged, values):
    """The first epoch with the highest score or the lowest validation loss, from 1; NaN without validation."""
    if judged == "loss" or np.isnan(values).all():
        return np.nan
    return int(np.nanargmax(values if judged == "validation_score" else -values)) + 1
