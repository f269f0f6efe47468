"""The picture of a training shows the numbers that the model has."""

import math
import subprocess
import sys

import numpy as np
import pytest
from parity import data, pair, quietly
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor, TrainingCurveDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
PARAMS = {"hidden_layer_sizes": (5,), "max_iter": 7, "random_state": 0, "batch_size": 16}
draw = TrainingCurveDisplay.from_estimator


@pytest.fixture(autouse=True)
def _figures():
    yield
    plt.close("all")


def fitted(kind=MLPClassifier, validation=False, **params):
    y = LABELS if kind is MLPClassifier else NUMBERS
    given = {"X_val": X[:31], "y_val": y[:31]} if validation else {}
    return quietly(kind(**{**PARAMS, **params}).fit, X, y, **given)


def assert_shows(line, values):
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(values) + 1))
    np.testing.assert_array_equal(line.get_ydata(), values)


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_a_plain_fit_has_its_loss_alone():
    model = fitted()
    display = draw(model)
    assert list(display.lines_) == ["loss"] and list(display.axes_) == ["loss"]
    assert_shows(display.lines_["loss"], model.loss_curve_)
    assert display.ax_.get_xlabel() == "Epoch" and display.ax_.get_ylabel() == "Loss"
    assert display.figure_.axes == [display.ax_] and display.loss is model.loss_curve_
    assert legend_of(display) == ["Training loss"]


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_all_curves_of_a_fit(kind):
    model = fitted(kind, validation=True, lr_schedule="cosine", warmup=5, learning_rate_init=0.03)
    display = draw(model)
    lines, axes = display.lines_, display.axes_
    assert_shows(lines["loss"], model.loss_curve_)
    assert_shows(lines["validation_loss"], model.validation_loss_curve_)
    assert_shows(lines["validation_score"], model.validation_scores_)
    assert_shows(lines["learning_rate"], model.learning_rate_curve_)
    best = 1 + model.validation_scores_.index(max(model.validation_scores_))
    assert lines["best_epoch"].get_xdata() == [best, best]
    assert legend_of(display) == ["Training loss", "Validation loss", f"Best epoch: {best}", "Validation score"]
    for curve, place in (
        ("loss", "loss"), ("validation_loss", "loss"), ("validation_score", "score"), ("learning_rate", "learning_rate")
    ):  # fmt: skip
        assert lines[curve].axes is axes[place]
    assert display.ax_ is axes["loss"] and len(set(axes.values())) == 3 == len(display.figure_.axes)
    assert axes["learning_rate"].get_xlabel() == "Epoch" and axes["loss"].get_xlabel() == ""
    display.figure_.canvas.draw()
    low, high = (axes[name].get_window_extent() for name in ("learning_rate", "loss"))
    assert low.y1 < high.y0 and low.x0 == high.x0 and low.width == high.width
    assert high.bounds == axes["score"].get_window_extent().bounds
    assert len({line.get_color() for line in lines.values()}) == 5


def test_early_stopping_marks_the_epoch_whose_weights_are_kept():
    model = fitted(early_stopping=True, learning_rate_init=0.3, max_iter=30, n_iter_no_change=3)
    display = draw(model)
    best = int(display.lines_["best_epoch"].get_xdata()[0])
    assert best < model.n_iter_
    # training for just so many epochs comes to the same weights
    short = fitted(early_stopping=True, learning_rate_init=0.3, max_iter=best)
    np.testing.assert_array_equal(short.coefs_[0], model.coefs_[0])


def test_scores_have_names():
    display = draw(fitted(validation=True, scoring="f1_macro").set_params(scoring="accuracy"))
    assert display.axes_["score"].get_ylabel() == "Validation score: f1_macro"
    display = draw(fitted(early_stopping=True, scoring="f1_macro"), score_name="F1")
    assert display.axes_["score"].get_ylabel() == "F1" == display.score_name


def test_the_loss_as_a_score_is_drawn_once():
    model = fitted(validation=True, scoring="loss", early_stopping=True, learning_rate_init=0.3)
    display = draw(model)
    assert list(display.lines_) == ["loss", "validation_loss", "best_epoch"]
    assert display.lines_["best_epoch"].get_xdata()[0] == 1 + np.argmin(model.validation_loss_curve_)


def test_estimators_around_the_network():
    mlp = MLPClassifier(**PARAMS)
    for model in (
        make_pipeline(StandardScaler(), mlp),
        GridSearchCV(make_pipeline(StandardScaler(), mlp), {"mlpclassifier__alpha": [0.1, 1]}, cv=2),
        make_pipeline(StandardScaler(), GridSearchCV(mlp, {"alpha": [0.1, 1]}, cv=2)),
    ):
        with pytest.raises(NotFittedError):
            draw(model)
        quietly(model.fit, X, LABELS)
        inner = model
        while not hasattr(inner, "loss_curve_"):
            inner = inner.best_estimator_ if hasattr(inner, "best_estimator_") else inner[-1]
        assert_shows(draw(model).lines_["loss"], inner.loss_curve_)
    model = quietly(TransformedTargetRegressor(MLPRegressor(**PARAMS), transformer=StandardScaler()).fit, X, NUMBERS)
    assert_shows(draw(model).lines_["loss"], model.regressor_.loss_curve_)


@pytest.mark.parametrize("kind", [TabularMLPClassifier, TabularMLPRegressor])
def test_all_members_of_a_model_of_tables(kind):
    classifies = kind is TabularMLPClassifier
    model = kind(3, random_state=0, recipe={"hidden_layer_sizes": (5,), "epochs": 9})
    model.set_params(scoring="accuracy" if classifies else "neg_mean_absolute_error")
    model.set_params(callbacks=lambda _, epoch, metrics: metrics["member"] == epoch == 2)
    pipeline = make_pipeline(StandardScaler(), model.fit(X, LABELS if classifies else NUMBERS))
    for estimator in (model, pipeline):
        display = draw(estimator, name="tables")
        lines, axes = display.lines_, display.axes_
        assert list(lines) == ["loss", "validation_score", "best_epoch"] and list(axes) == ["loss", "score"]
        for i, member in enumerate(model.members_):
            assert_shows(lines["loss"][i], member.loss_curve_)
            assert_shows(lines["validation_score"][i], member.validation_scores_)
            assert lines["loss"][i].axes is axes["loss"] and lines["validation_score"][i].axes is axes["score"]
            best = member.best_epoch_
            assert lines["best_epoch"].get_xdata()[i] == best
            assert lines["best_epoch"].get_ydata()[i] == member.validation_scores_[best - 1]
        assert len(lines["loss"]) == 3 and [len(member.loss_curve_) for member in model.members_] == [9, 9, 2]
        assert lines["best_epoch"].axes is axes["score"]
        names = ["Training loss (tables)", "Validation score: " + model.scoring + " (tables)", "Best epochs (tables)"]
        assert legend_of(display) == names
        assert len({line.get_color() for line in lines["loss"]}) == 1
    over = draw(model, ax=display.ax_, name="again", line_kwargs={"alpha": 0.2, "c": "k"})
    assert over.axes_ == axes and len(legend_of(over)) == 6
    assert {line.get_alpha() for line in over.lines_["loss"]} == {0.2}


def test_members_without_scores_or_with_gaps():
    losses = [[3.0, 2.0, math.nan], [3.0, 2.5]]
    display = TrainingCurveDisplay(loss=losses, learning_rate=[[1.0, 2.0, 3.0], [0.5, 0.5]]).plot()
    assert list(display.lines_) == ["loss", "learning_rate"] and len(display.lines_["learning_rate"]) == 2
    display = TrainingCurveDisplay(loss=losses, validation_loss=[[3.0, math.nan, 2.0], [1.0, 1.0]]).plot()
    assert display.lines_["best_epoch"].get_xdata().tolist() == [3, 1]
    assert display.lines_["best_epoch"].get_ydata().tolist() == [2, 1]
    display = TrainingCurveDisplay(loss=losses, validation_score=[[math.nan] * 3, [1.0, 1.0]]).plot()
    assert display.lines_["best_epoch"].get_xdata().tolist() == [1]
    display = TrainingCurveDisplay(loss=losses, best_epoch=[2, 1]).plot()
    assert display.lines_["best_epoch"].get_ydata().tolist() == [2, 3]
    display = TrainingCurveDisplay(loss=[3.0, 2.0], validation_score=[1.0, 1.0], best_epoch=2).plot()
    assert display.lines_["best_epoch"].get_xdata() == [2, 2] and "Best epoch: 2" in legend_of(display)


def test_a_member_whose_loss_became_infinite():
    model = TabularMLPRegressor(2, random_state=0, recipe={"hidden_layer_sizes": (5,), "epochs": 3}).fit(X, NUMBERS)
    model.members_[1].loss_curve_.append(math.inf)
    display = draw(model)
    assert_shows(display.lines_["loss"][1], model.members_[1].loss_curve_)
    assert_shows(display.lines_["validation_score"][1], [*model.members_[1].validation_scores_, math.nan])
    assert display.axes_["score"].get_ylabel() == "Validation score"


def test_scikit_learn_s_own_network_beside_ours():
    ours, theirs = pair("multiclass", **PARAMS, early_stopping=True)
    for model in (ours, theirs):
        quietly(model.fit, X, LABELS)
    first = draw(ours, name="fastmlp")
    second = draw(theirs, ax=first.ax_, name="scikit-learn", line_kwargs={"ls": "--"})
    assert second.axes_ == first.axes_ and second.figure_ is first.figure_
    assert_shows(second.lines_["loss"], theirs.loss_curve_)
    assert_shows(second.lines_["validation_score"], theirs.validation_scores_)
    assert second.lines_["loss"].get_linestyle() == "--" and first.lines_["loss"].get_linestyle() == "-"
    legend = legend_of(second)
    assert len(legend) == 6 and {"Training loss (fastmlp)", "Training loss (scikit-learn)"} <= set(legend)


def test_a_second_display_adds_the_axes_that_the_first_has_not():
    first = draw(fitted())
    second = draw(fitted(validation=True, lr_schedule="step", lr_schedule_params={"step_size": 2}), ax=first.ax_)
    assert set(second.axes_) == {"loss", "score", "learning_rate"} and set(first.lines_) == {"loss"}
    assert second.ax_ is first.ax_
    assert not any(label.get_visible() and label.get_text() for label in second.ax_.get_xticklabels())


@pytest.mark.parametrize("place", ["grid", "by hand"])
def test_axes_of_the_user(place):
    figure = plt.figure()
    ax = figure.add_subplot(1, 2, 2) if place == "grid" else figure.add_axes([0.3, 0.2, 0.5, 0.6])
    box = ax.get_position()
    display = draw(fitted(validation=True, lr_schedule="cosine"), ax=ax)
    assert display.ax_ is ax and display.figure_ is figure
    figure.canvas.draw()
    upper, lower = ax.get_position(), display.axes_["learning_rate"].get_position()
    np.testing.assert_allclose([lower.x0, lower.y0, upper.x1, upper.y1], box.extents, rtol=1e-9)
    assert lower.y1 < upper.y0


def test_keyword_arguments_of_lines():
    display = draw(fitted(validation=True), line_kwargs={"lw": 3, "c": "k", "marker": "o"})
    for name in ("loss", "validation_loss", "validation_score"):
        line = display.lines_[name]
        assert (line.get_linewidth(), line.get_color(), line.get_marker()) == (3, "k", "o")
    assert display.axes_["score"].yaxis.label.get_color() == "k"
    with pytest.raises(TypeError, match="linewidth"):
        draw(fitted(), line_kwargs={"lw": 3, "linewidth": 2})


def test_gaps_and_single_epochs_are_seen():
    scores = [math.nan, 0.5, math.nan, 0.2, 0.3, math.inf, 0.1]
    display = TrainingCurveDisplay(loss=np.ones(7), validation_score=scores).plot()
    line = display.lines_["validation_score"]
    assert_shows(line, scores)
    assert line.get_marker() == "." and line.get_markevery() == [1, 6]
    assert display.lines_["loss"].get_marker() == "None"
    one = draw(fitted(max_iter=1)).lines_["loss"]
    assert one.get_marker() == "." and one.get_markevery() == [0]
    nothing = TrainingCurveDisplay(loss=[1.0, 2.0], validation_score=[math.nan] * 2).plot()
    assert "best_epoch" not in nothing.lines_


def test_rates_that_do_not_change_or_are_not_known_have_no_panel():
    for rates in ([0.1, 0.1, 0.1], [math.nan, 0.1, 0.1], [math.nan] * 3):
        display = TrainingCurveDisplay(loss=np.ones(3), learning_rate=rates).plot()
        assert list(display.lines_) == ["loss"] and display.learning_rate is rates
    display = TrainingCurveDisplay(loss=np.ones(3), learning_rate=[math.nan, 0.1, 0.2]).plot()
    assert_shows(display.lines_["learning_rate"], [math.nan, 0.1, 0.2])


def test_a_curve_of_some_epochs_only_is_left_out():
    model = fitted()
    model.partial_fit(X, LABELS, X_val=X[:9], y_val=LABELS[:9])
    with pytest.warns(UserWarning) as told:
        display = draw(model)
    for attribute in ("validation_loss_curve_", "validation_scores_"):
        assert any(f"{attribute} is left out: it has 1 values for 8 epochs" in str(w.message) for w in told)
    assert list(display.lines_) == ["loss"]


def test_what_is_refused():
    with pytest.raises(NotFittedError):
        draw(MLPClassifier())
    with pytest.raises(ValueError, match="a loss_curve_, which MLPClassifier with solver='lbfgs' does not give"):
        draw(fitted(solver="lbfgs"))
    with pytest.raises(ValueError, match="must have a loss_curve_, which LinearRegression does not give"):
        draw(LinearRegression().fit(X, LABELS))
    model = fitted()
    model.loss_curve_ = []
    with pytest.raises(ValueError, match="must have done an epoch"):
        draw(model)
    for loss in ([], 1.0, np.ones((2, 2)), [[1.0], []], [[[1.0]]]):
        with pytest.raises(ValueError, match="loss must be of shape"):
            TrainingCurveDisplay(loss=loss)
    for curve in ("validation_loss", "validation_score", "learning_rate"):
        with pytest.raises(ValueError, match=rf"{curve} must be of the shape of loss, \(2,\), got \(3,\)"):
            TrainingCurveDisplay(loss=[1.0, 2.0], **{curve: [1.0] * 3})
        with pytest.raises(ValueError, match=rf"{curve} must be of the shape of loss, \(1,\), got \(2,\)"):
            TrainingCurveDisplay(loss=[[1.0, 2.0], [1.0]], **{curve: [[1.0] * 2] * 2})
        for values in ([1.0, 2.0], [[1.0, 2.0]]):
            with pytest.raises(ValueError, match=f"{curve} must be of as many members as loss, 2"):
                TrainingCurveDisplay(loss=[[1.0, 2.0], [1.0, 2.0]], **{curve: values})
    for best in (1, [1, 2, 3]):
        with pytest.raises(ValueError, match="best_epoch must be an epoch of each of 2 members, got "):
            TrainingCurveDisplay(loss=[[1.0, 2.0], [1.0]], best_epoch=best)
    assert not plt.get_fignums()


def test_matplotlib_is_imported_by_those_who_draw(monkeypatch):
    code = "import sys, fastmlp; print(sorted(name for name in sys.modules if name.startswith('matplotlib')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[plot\]"'):
        TrainingCurveDisplay(loss=[1.0]).plot()
    monkeypatch.undo()
