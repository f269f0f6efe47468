"""
From a raw frame to a deployed model
====================================

A table as it comes: dates, texts, gaps. This page trains on it, looks at what the training did, says how far the score
is to be believed, and takes the model out of Python.
"""

# sphinx_gallery_capture_repr = ("_repr_html_",)

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

import fastmlp
from fastmlp import TabularMLPRegressor

# %%
# The frame
# ---------
# Bicycles that were hired in an hour. The numbers are made up, so that we know what there is to be found: commuters on
# working days, fewer hires in the rain and the cold, districts of different size, and chance.

rng = np.random.default_rng(0)
n = 3000
when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 2 * 365 * 24, n), unit="h")
celsius = 10 - 9 * np.cos(2 * np.pi * when.day_of_year / 365) + rng.normal(0, 4, n)
weather = rng.choice(["clear", "cloudy", "rain", "storm"], n, p=[0.45, 0.35, 0.17, 0.03])
district = rng.choice([f"district {i}" for i in range(12)], n)

working = when.day_of_week < 5
peak = np.exp(-(((when.hour - 8) / 1.5) ** 2)) + np.exp(-(((when.hour - 17.5) / 2) ** 2))
leisure = np.exp(-(((when.hour - 14) / 4) ** 2))
hires = 20 + 150 * np.where(working, peak, leisure)
hires *= pd.Series(weather).map({"clear": 1.0, "cloudy": 0.9, "rain": 0.45, "storm": 0.1}).to_numpy()
hires *= np.exp(-(((celsius - 22) / 14) ** 2)) * (0.4 + 0.1 * pd.Series(district).str[9:].astype(int).to_numpy())
hires = rng.poisson(hires).astype(float)

frame = pd.DataFrame({"when": when, "celsius": celsius, "weather": weather, "district": district})
frame.loc[rng.random(n) < 0.1, "celsius"] = np.nan  # a thermometer that fails
frame.loc[rng.random(n) < 0.05, "weather"] = None
train, test = slice(0, 2000), slice(2000, n)
frame.head()

# %%
# Three lines
# -----------
# Nothing is to be imputed, scaled or encoded. The summary has the columns and what they were taken for.

model = TabularMLPRegressor(random_state=0)
model.fit(frame[train], hires[train])
model

# %%
# Each row was held out from some of the networks, and ``oof_score_`` is the R2 of what these say of it: an honest score
# at no cost. New rows agree with it. Boosted trees, which have to be told of the dates, stand beside it.

print(f"out of fold {model.oof_score_:.3f}, new rows {model.score(frame[test], hires[test]):.3f}")

trees = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
told = frame.assign(
    hour=when.hour,
    weekday=when.day_of_week,
    day=when.day_of_year,
    weather=frame["weather"].astype("category"),
    district=frame["district"].astype("category"),
).drop(columns="when")
print(f"boosted trees {trees.fit(told[train], hires[train]).score(told[test], hires[test]):.3f}")

# %%
# What the model thinks
# ---------------------
# Rows that differ in one column alone show what it makes of that column. A single row may be a dict.

print(model.predict({"when": "2025-06-03 08:00", "celsius": 20, "weather": "rain", "district": "district 4"}))

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for day, label in (("2025-06-03", "Tuesday"), ("2025-06-07", "Saturday")):
    hours = pd.date_range(day, periods=24, freq="h")
    rows = pd.DataFrame({"when": hours, "celsius": 20.0, "weather": "clear", "district": "district 4"})
    axes[0].plot(hours.hour, model.predict(rows), label=label)
axes[0].set(xlabel="hour", ylabel="hires")
axes[0].legend()
degrees = np.linspace(-10, 35, 60)
for kind in ("clear", "rain", "storm"):
    rows = pd.DataFrame(
        {"when": pd.Timestamp("2025-06-03 08:00"), "celsius": degrees, "weather": kind, "district": "district 4"}
    )
    axes[1].plot(degrees, model.predict(rows), label=kind)
axes[1].set(xlabel="degrees Celsius")
axes[1].legend()
plt.show()

# %%
# Out of Python
# -------------
# The encoder is part of the model: what is written takes raw columns. A file holds data and nothing that runs; ONNX
# takes one input a column, with texts as texts; C needs a compiler and nothing else.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "hires.fastmlp"
    model.save(path)
    again = fastmlp.load(path)
    print(f"{path.stat().st_size / 1e6:.1f} MB, same bits: {(again.predict(frame) == model.predict(frame)).all()}")

graph = model.to_onnx()
print([one.name for one in graph.graph.input], "->", [one.name for one in graph.graph.output])

source = model.to_c(name="hires")
print(source[: source.index("*/")][:600])
