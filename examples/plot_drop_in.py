"""
One import changed
==================

The same pipeline twice, with scikit-learn's multilayer perceptron and with fastmlp's. Nothing differs but the import.
We look at three things: what the two learn, what they predict, and how long it takes.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import fastmlp

# %%
# Handwritten digits: 1797 pictures of 8 by 8 pixels, ten classes. Both libraries get one thread, so that the comparison
# is fair on any machine.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

libraries = {"scikit-learn": sklearn.neural_network, "fastmlp": fastmlp}
models, seconds = {}, {name: [] for name in libraries}
for _ in range(3):
    for name, library in libraries.items():
        model = make_pipeline(StandardScaler(), library.MLPClassifier(random_state=0))
        with threadpool_limits(1):
            begin = time.perf_counter()
            models[name] = model.fit(X_train, y_train)
            seconds[name].append(time.perf_counter() - begin)

# %%
# The loss after each epoch, one curve on top of the other:

ours, theirs = models["fastmlp"][-1], models["scikit-learn"][-1]

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].plot(theirs.loss_curve_, lw=6, alpha=0.4, label="scikit-learn")
axes[0].plot(ours.loss_curve_, label="fastmlp")
axes[0].set(xlabel="epoch", ylabel="training loss", yscale="log")
for (name, times), style in zip(seconds.items(), ({"lw": 6, "alpha": 0.4}, {}), strict=True):
    losses = models[name][-1].loss_curve_
    axes[1].plot(np.linspace(0, min(times), len(losses)), losses, label=name, **style)
axes[1].set(xlabel="seconds of fit", yscale="log")
axes[0].legend()

# %%
# In numbers:

difference = np.abs(np.subtract(ours.loss_curve_, theirs.loss_curve_)).max()
print(f"epochs: {theirs.n_iter_} and {ours.n_iter_}")
print(f"largest difference between the two curves: {difference:.1e}")
predictions = [model.predict(X_test) for model in models.values()]
print(f"same predictions: {np.array_equal(*predictions)}")
print(f"accuracy: {models['fastmlp'].score(X_test, y_test):.4f}")

# %%
# And the time. This is the machine that built the page, whatever else it was doing; :doc:`/speed` has measurements made
# with care.

print(f"fit is {min(seconds['scikit-learn']) / min(seconds['fastmlp']):.1f} times faster")

# %%
# A fitted model can change hands, in both directions, and go on training there.

taken_over = fastmlp.from_sklearn(theirs)
given_back = ours.to_sklearn()
scaled = models["fastmlp"][0].transform(X_test)
print(np.array_equal(taken_over.predict(scaled), given_back.predict(scaled)))
