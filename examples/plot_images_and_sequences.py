"""
How a convolution sees, and how a recurrent unit remembers
==========================================================

This page goes on from :doc:`plot_from_perceptron_to_deep`: the same neuron, a weighted sum with an activation, learns
to look at pictures and to remember what it has read. Every number and every picture below was computed while this
page was built.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastmlp import ConvClassifier, MLPClassifier, RecurrentClassifier

# %%
# A window in place of a wall
# ---------------------------
#
# A dense neuron has a weight for every pixel. What it learns about a stroke at the left it has to learn anew for the
# same stroke at the right. A convolution has a small window of weights, here 3 by 3, and slides it over the picture:
# at each place it writes down its weighted sum. The result is a picture again, which says where the window has found
# what it looks for.
#
# Take a window whose right column is positive and whose left column is negative. Where the picture is bright at the
# right of the window and dark at its left, the sum is large: the window finds left edges.

digits = load_digits()
seven = digits.images[7] / 16
edge = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
seen = np.array([[np.sum(edge * seven[row : row + 3, at : at + 3]) for at in range(6)] for row in range(6)])

# sphinx_gallery_start_ignore
fig, axes = plt.subplots(1, 3, figsize=(7, 2.4), layout="constrained")
titles = ("a picture", "a window", "where it finds its edge")
for ax, values, title in zip(axes, (seven, edge, seen), titles, strict=True):
    ax.imshow(values, cmap="RdBu_r", vmin=-np.abs(values).max(), vmax=np.abs(values).max())
    ax.set(xticks=[], yticks=[], title=title)
# sphinx_gallery_end_ignore

# %%
# Nobody has to draw such windows. Their weights are learnt as all others are, by following the slope of the loss.
# Behind the convolution a pool keeps the largest of each 2 by 2 values: the exact place matters less and less, the
# larger shape more and more. Then the next convolution looks at what the first has found.

X_train, X_test, y_train, y_test = train_test_split(digits.images / 16, digits.target, random_state=0)
layers = [("conv", 8, 3), ("pool", 2), ("conv", 16, 3), ("pool", 2)]
model = ConvClassifier(layers, max_iter=30, tol=0, learning_rate_init=0.005, random_state=0)
model.fit(X_train, y_train)

flat = MLPClassifier((100,), max_iter=300, random_state=0).fit(X_train.reshape(-1, 64), y_train)
sizes = [sum(array.size for array in (*one.coefs_, *one.intercepts_)) for one in (model, flat)]
print(f"convolutional: {sizes[0]:,} parameters, {model.score(X_test, y_test):.1%} right")
print(f"dense:         {sizes[1]:,} parameters, {flat.score(X_test.reshape(-1, 64), y_test):.1%} right")

# %%
# The eight windows that the first layer has found: red where it looks for ink, blue where it looks for paper. Some
# are edges of one direction or another, as in the drawing above.

# sphinx_gallery_start_ignore
filters = model.coefs_[0].T.reshape(8, 3, 3)
fig, axes = plt.subplots(1, 8, figsize=(7, 1.2), layout="constrained")
for ax, values in zip(axes, filters, strict=True):
    ax.imshow(values, cmap="RdBu_r", vmin=-np.abs(filters).max(), vmax=np.abs(filters).max())
    ax.set(xticks=[], yticks=[])
# sphinx_gallery_end_ignore

# %%
# What did it look at?
# --------------------
#
# The slope of an output with respect to each pixel says which pixels the answer hangs on (Simonyan, Vedaldi and
# Zisserman, 2014). ``input_gradients`` gives it, in the shape of the pictures.

some = X_test[:6]
slopes = np.abs(model.input_gradients(some, target=model.predict(some), raw_score=True))

# sphinx_gallery_start_ignore
fig, axes = plt.subplots(2, 6, figsize=(7, 2.5), layout="constrained")
for above, below, picture, slope in zip(*axes, some, slopes, strict=True):
    above.imshow(picture, cmap="gray_r")
    below.imshow(slope, cmap="magma")
    for ax in (above, below):
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("picture", fontsize=8)
axes[1, 0].set_ylabel("slope", fontsize=8)
# sphinx_gallery_end_ignore

# %%
# A neuron that remembers
# -----------------------
#
# A sequence is read step by step. A recurrent unit gets, beside the value of the step, its own output of the step
# before. Gates, which are neurons too, say how much of the old state is kept and how much of the new is let in (Cho
# et al., 2014).
#
# The task: pulses arrive on two lines, at any time and in sequences of any length. Which line had the first one? The
# last steps do not have the answer. The network must remember the first pulse, and let no later one overwrite it.

rng = np.random.default_rng(0)
first_line = rng.integers(2, size=600)
sequences = []
for line in first_line:
    steps = rng.integers(10, 24)
    sequence = (rng.random((2, steps)) < 0.2).astype(float)
    first = rng.integers(1, 6)
    sequence[:, :first] = 0
    sequence[line, first], sequence[1 - line, first] = 1, 0
    sequences.append(sequence)

reader = RecurrentClassifier(12, learning_rate_init=0.02, max_iter=80, clip_norm=1.0, tol=0, random_state=0)
reader.fit(sequences[:450], first_line[:450])
print(f"{reader.score(sequences[450:], first_line[450:]):.1%} right, on sequences that it has not seen")

# %%
# What it says after each step is its state, as far as we can read it. A sequence that ends there is a sequence too:
# so we let it predict for the first step alone, for the first two, and so on. It makes up its mind at the first
# pulse, and later ones do not confuse it: what it has remembered stays.

# sphinx_gallery_start_ignore
fig, axes = plt.subplots(2, 2, figsize=(7, 3.4), sharex="col", layout="constrained")
for column, which in enumerate((int(np.argmin(first_line[450:])) + 450, int(np.argmax(first_line[450:])) + 450)):
    sequence = sequences[which]
    steps = np.arange(1, sequence.shape[1] + 1)
    says = [reader.predict_proba([sequence[:, :n]])[0, 1] for n in steps]
    for line, colour in ((0, "#2878b5"), (1, "#e8871e")):
        axes[0, column].vlines(steps, 0, sequence[line], color=colour, linewidth=3, label=f"line {line}")
    axes[0, column].set(ylim=(0, 1.2), yticks=[], title=f"line {first_line[which]} was first")
    axes[1, column].plot(steps, says, color="#555555", marker=".")
    axes[1, column].axhline(0.5, color="#bbbbbb", linewidth=0.8)
    axes[1, column].set(ylim=(-0.05, 1.05), xlabel="step")
fig.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside upper right", ncols=2)
axes[1, 0].set_ylabel("says: line 1", fontsize=8)
# sphinx_gallery_end_ignore

# %%
# Both are the same neuron
# ------------------------
#
# A convolution is the weighted sum slid over space, recurrence the weighted sum fed back in time. Both are trained by
# the same steps, on the same compiled engine. The page "Images and sequences" has all options.
