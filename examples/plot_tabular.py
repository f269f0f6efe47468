"""
Small tables: rates, regularisation, intervals
==============================================

A network with thousands of weights and a table with a few hundred rows: left alone, it learns the table by heart. This
page goes through the means against it, in the order in which we would try them, and ends with predictions that say how
sure they are.

The table has 442 people with diabetes, ten measurements of each, and how far the disease had progressed a year later.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor, TrainingCurveDisplay

X, y = load_diabetes(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.25, random_state=0)

scaler, unit = StandardScaler().fit(X_train), y_train.std()
X_train, X_val, X_test = (scaler.transform(part) for part in (X_train, X_val, X_test))
y_train, y_val, y_test = ((part - y_train.mean()) / unit for part in (y_train, y_val, y_test))

# %%
# Look first
# ----------
# With a validation set of its own, ``fit`` records after every epoch the loss on rows that it does not learn from.
# Without any regularisation the two curves part after a few epochs. What follows is learning by heart.

LARGE, SMALL = (128, 128), (32,)
common = {"max_iter": 100, "batch_size": 32, "random_state": 0}
validation = {"X_val": X_val, "y_val": y_val}

plain = MLPRegressor(hidden_layer_sizes=LARGE, n_iter_no_change=100, **common)
plain.fit(X_train, y_train, **validation)

# %%
# Then hold it back
# -----------------
# `dropout` leaves a random half of the units out of every update, `weight_decay` pulls the weights towards zero, and a
# rate that falls along a cosine lets the training come to rest.

held = MLPRegressor(
    hidden_layer_sizes=LARGE,
    activation="silu",
    dropout=0.5,
    solver="adamw",
    weight_decay=0.3,
    lr_schedule="cosine",
    n_iter_no_change=100,
    **common,
)
held.fit(X_train, y_train, **validation)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for ax, model, title in zip(axes, (plain, held), ("as it comes", "held back"), strict=True):
    ax.plot(model.loss_curve_, color="#555555", label="training")
    ax.plot(model.validation_loss_curve_, color="#e8871e", label="validation")
    ax.set(xlabel="epoch", title=title, ylim=(0, 0.6))
axes[0].set_ylabel("loss")
axes[0].legend()

# %%
# The training loss includes the penalty and, with dropout, is that of the thinned network; the validation loss is the
# model's own. That is why it can lie lower.
#
# And stop in time
# ----------------
# ``early_stopping=True`` stops when the validation score no longer improves, and brings back the weights of the best
# epoch. It can watch any of scikit-learn's scores, or the loss. `TrainingCurveDisplay` draws what was watched.

stopped = MLPRegressor(hidden_layer_sizes=LARGE, early_stopping=True, **common)
stopped.set_params(scoring="neg_mean_absolute_error")
stopped.fit(X_train, y_train, **validation)
best = -stopped.best_validation_score_ * unit
print(f"stopped after {stopped.n_iter_} epochs, best mean absolute error {best:.1f}")

for name, model in {"as it comes": plain, "stopped early": stopped, "held back": held}.items():
    print(f"{name:15} R2 on the test rows {model.score(X_test, y_test):6.3f}")

TrainingCurveDisplay.from_estimator(stopped)

# %%
# Rates
# -----
# The schedules: `learning_rate_curve_` has the rate of each epoch.

schedules = {
    "constant": {},
    "cosine": {"warmup": 0.1},
    "one_cycle": {},
    "step": {"lr_schedule_params": {"step_size": 15, "gamma": 0.3}},
    "exponential": {},
}
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for name, options in schedules.items():
    model = MLPRegressor(hidden_layer_sizes=SMALL, lr_schedule=name, n_iter_no_change=100, **common, **options)
    ax.plot(model.fit(X_train, y_train).learning_rate_curve_, label=name)
ax.set(xlabel="epoch", ylabel="learning rate")
ax.legend()

# %%
# Intervals
# ---------
# One network can learn several quantiles at once. Between the 10 % and the 90 % quantile should lie four test rows of
# five. With so few rows to learn from it is a little surer than it should be.

quantiles = MLPRegressor(
    loss="quantile",
    quantile=[0.1, 0.5, 0.9],
    hidden_layer_sizes=SMALL,
    solver="adamw",
    weight_decay=0.1,
    early_stopping=True,
    scoring="loss",
    **common,
)
low, middle, high = quantiles.fit(X_train, y_train, **validation).predict(X_test).T
inside = np.mean((low <= y_test) & (y_test <= high))
print(f"{inside:.0%} of the test rows lie within their interval")

# sphinx_gallery_thumbnail_number = 3
order = np.argsort(middle)
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.fill_between(range(len(order)), low[order], high[order], color="#9cc7e8", label="10 % to 90 %")
ax.plot(middle[order], color="#2878b5", label="median")
ax.plot(y_test[order], ".", color="#e8871e", label="what came")
ax.set(xlabel="test rows, by prediction", ylabel="progression, standardised")
ax.legend()

# %%
# All of these are keyword parameters, off by default: :doc:`/options` has the formulas and sources.
