"""A picture of a training: loss, validation and learning rate by epoch."""

import warnings

import numpy as np
from sklearn.utils.validation import check_is_fitted

__all__ = ["TrainingCurveDisplay"]

# Okabe and Ito's palette, which colour-blind readers can tell apart
_COLORS = {"loss": "#0072B2", "validation_loss": "#D55E00", "validation_score": "#009E73", "learning_rate": "#CC79A7"}
# What the constructor takes -> the fitted attribute
_CURVES = {
    "validation_loss": "validation_loss_curve_",
    "validation_score": "validation_scores_",
    "learning_rate": "learning_rate_curve_",
}


def _network_in(estimator):
    """The estimator at the heart of fitted searches, pipelines and target transformers."""
    while True:
        for name in ("best_estimator_", "regressor_"):
            estimator = getattr(estimator, name, estimator)
        if not hasattr(estimator, "steps"):
            return estimator
        estimator = estimator.steps[-1][1]


class TrainingCurveDisplay:
    """Loss, validation loss and score, and learning rate by epoch.

    `from_estimator` makes one of a fitted model. All parameters are stored as attributes.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        Training loss of each epoch.
    validation_loss : array-like of shape (n_epochs,), default=None
        Validation loss of each epoch. NaN leaves a gap, here and in the other curves.
    validation_score : array-like of shape (n_epochs,), default=None
        Validation score of each epoch; greater is better.
    learning_rate : array-like of shape (n_epochs,), default=None
        Learning rate of each epoch. Drawn if it changes.
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
    lines_ : dict of str to matplotlib Line2D
        Under the names of the parameters; "best_epoch" is the vertical line where the validation score is highest, or
        without a score the validation loss lowest.

    Raises
    ------
    ValueError
        If the curves are empty, not of one dimension or not of the same length.

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

    def __init__(
        self, *, loss, validation_loss=None, validation_score=None, learning_rate=None, score_name=None, name=None
    ):
        self.loss = loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.learning_rate = learning_rate
        self.score_name = score_name
        self.name = name
        shape = np.shape(loss)
        if len(shape) != 1 or shape == (0,):
            raise ValueError(f"loss must be of shape (n_epochs,) with at least one epoch, got {shape}.")
        for curve in _CURVES:
            values = getattr(self, curve)
            if values is not None and np.shape(values) != shape:
                raise ValueError(f"{curve} must be of the shape of loss, {shape}, got {np.shape(values)}.")

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, score_name=None, name=None, line_kwargs=None):
        """Draw the training of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A fitted MLPClassifier or MLPRegressor, of fastmlp or scikit-learn; or a pipeline that ends in one, a search
            or a TransformedTargetRegressor over one.
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
        network = _network_in(estimator)
        losses = getattr(network, "loss_curve_", None)
        if losses is None:
            which = type(network).__name__
            if hasattr(network, "solver"):
                which += f" with solver={network.solver!r}"
            raise ValueError(f"estimator must have a loss_curve_, which {which} does not give.")
        if len(losses) == 0:
            raise ValueError("estimator must have done an epoch, its loss_curve_ is empty.")
        curves = {}
        for curve, attribute in _CURVES.items():
            values = getattr(network, attribute, None)
            if values is not None and len(values) != len(losses):
                warnings.warn(f"{attribute} is left out: it has {len(values)} values for {len(losses)} epochs.")
            else:
                curves[curve] = values
        scoring, _ = getattr(network, "_scored", (None, False))  # what the fit went by, whatever the parameter is now
        if scoring == "loss":
            curves.pop("validation_score", None)  # the validation loss upside down
        elif score_name is None and isinstance(scoring, str):
            score_name = f"Validation score: {scoring}"
        display = cls(loss=losses, **curves, score_name=score_name, name=name)
        return display.plot(ax=ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
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

        curves = {name: np.asarray(getattr(self, name), float) for name in _COLORS if getattr(self, name) is not None}
        if "learning_rate" in curves:
            rates = curves["learning_rate"][np.isfinite(curves["learning_rate"])]
            if rates.size == 0 or rates.min() == rates.max():
                del curves["learning_rate"]
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        # on the Axes, so that a display after this one finds them
        axes = self.axes_ = ax._training_curve_axes = {"loss": ax, **getattr(ax, "_training_curve_axes", {})}
        if "validation_score" in curves and "score" not in axes:
            axes["score"] = self.ax_.twinx()
        if "learning_rate" in curves and "learning_rate" not in axes:
            self._add_panel()

        places = {"validation_score": "score", "learning_rate": "learning_rate"}
        labels = {
            "loss": "Training loss",
            "validation_loss": "Validation loss",
            "validation_score": self.score_name or "Validation score",
            "learning_rate": "Learning rate",
        }
        behind = "" if self.name is None else f" ({self.name})"
        given = normalize_kwargs(line_kwargs, Line2D)
        self.lines_ = {}
        for curve, values in curves.items():
            style = {"color": _COLORS[curve], "label": labels[curve] + behind}
            finite = np.pad(np.isfinite(values), 1)
            alone = np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])
            if len(alone) and "marker" not in given:  # a line through one point would not be seen
                style |= {"marker": ".", "markevery": alone.tolist()}
            epochs = np.arange(1, len(values) + 1)
            (self.lines_[curve],) = axes[places.get(curve, "loss")].plot(epochs, values, **(style | given))
        best = self._best_epoch(curves)
        if best is not None:
            self.lines_["best_epoch"] = self.ax_.axvline(
                best, color="0.4", linestyle=":", linewidth=1.2, label=f"Best epoch: {best}{behind}"
            )

        self.ax_.set_ylabel("Loss")
        if "validation_score" in curves:
            color = self.lines_["validation_score"].get_color()
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

    @staticmethod
    def _best_epoch(curves):
        """The epoch with the highest score, or else the lowest validation loss, from 1; None without validation."""
        values = curves.get("validation_score", -curves["validation_loss"] if "validation_loss" in curves else None)
        if values is None or np.isnan(values).all():
            return None
        return int(np.nanargmax(values)) + 1
