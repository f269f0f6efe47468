"""
From the perceptron to a deep network
=====================================

This page is for people who have never met a neural network. Adding and multiplying is nearly all the mathematics it
needs.

It begins where it all began: with one artificial neuron, the perceptron, which Frank Rosenblatt described in 1958. We
look at what it can do, run into what it cannot, and mend that, one small step at a time, until a deep network stands
before us. Every number and every picture below was computed while this page was built.

The grey boxes are Python, for those who read it; the words and pictures do without. The commands that only draw are
left out, and ``random_state`` fixes the throws of the dice, so that you would get the same pictures.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Circle
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier, Perceptron

# sphinx_gallery_start_ignore
# What follows up to the end of this block only draws. The page does not show it.
BLUE, ORANGE, GREY, GREEN = "#2878b5", "#e8871e", "#555555", "#3a8f4d"
SHADES = LinearSegmentedColormap.from_list("shades", ["#9cc7e8", "#ffffff", "#fbcf9b"])
LOW, HIGH = (-1.9, -1.4), (2.9, 1.9)


def points(ax, X, y, size=14):
    for label, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
        edge = 0.3 if size > 10 else 0
        ax.scatter(*X[y == label].T, s=size, color=colour, marker=marker, edgecolor="white", linewidth=edge, zorder=3)


def paper(ax, title=""):
    ax.set(xlim=(LOW[0], HIGH[0]), ylim=(LOW[1], HIGH[1]), xticks=[], yticks=[], title=title)
    ax.set_xlabel("first measurement", fontsize=8)
    ax.set_ylabel("second", fontsize=8)


def grid(steps=200):
    first, second = np.meshgrid(np.linspace(LOW[0], HIGH[0], steps), np.linspace(LOW[1], HIGH[1], steps))
    return first, second, np.c_[first.ravel(), second.ravel()]


def regions(ax, answer, middle, title="", spread=None):
    """Shade the plane by `answer`, a function of points, and draw the line where it is `middle`.

    The shades go as far as `spread` to either side; without it there are two, as of a step.
    """
    first, second, at = grid()
    values = answer(at).reshape(first.shape)
    if spread is None:
        ax.contourf(first, second, values > middle, [-1, 0.5, 2], colors=[SHADES(0.0), SHADES(1.0)])
    else:
        shades = np.linspace(middle - spread, middle + spread, 20)
        ax.contourf(first, second, values, shades, cmap=SHADES, extend="both")
    if values.min() < middle < values.max():
        ax.contour(first, second, values, [middle], colors="black", linewidths=1.5)
    paper(ax, title)


def node(ax, x, y, text, colour=GREY, radius=0.28, below=""):
    ax.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=colour, linewidth=2, zorder=3))
    ax.text(x, y, text, ha="center", va="center", zorder=4, fontsize=10)
    if below:
        ax.text(x, y - radius - 0.1, below, ha="center", va="top", fontsize=9, color=ORANGE)


def wire(ax, start, end, text="", colour=GREY, at=0.5, lift=0.1, shrink=17):
    arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": shrink, "shrinkB": shrink, "lw": 1.4}
    ax.annotate("", end, start, arrowprops=arrow)
    x, y = np.add(np.multiply(start, 1 - at), np.multiply(end, at))
    ax.text(
        x, y + lift, text, ha="center", va="center", fontsize=9, color=colour, zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip


# sphinx_gallery_end_ignore

# %%
# The task
# --------
# Suppose we have measured two things on each of 400 flowers, and we know which of two species each flower is. Can a
# machine learn to tell the species from the two measurements? (The flowers are made up. The problem is a real one.)
#
# We hide half of the flowers. The machine learns from the one half, and we test it on the other, which it has never
# seen. That is the only fair test: learning something by heart is easy.

X, y = make_moons(n_samples=400, noise=0.2, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

# sphinx_gallery_start_ignore
figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
points(ax, X_train, y_train, 22)
paper(ax, "200 flowers of two species")
# sphinx_gallery_end_ignore

# %%
# Each flower is a dot: the first measurement to the right, the second upwards. Blue circles are one species (call it
# 0), orange triangles the other (call it 1).
#
# One neuron
# ----------
# An artificial neuron does three simple things.
#
# 1. It takes a **weighted sum** of its inputs: each input times a number of its own, its *weight*. A large weight says
#    "this input matters", a negative one "this input speaks against it", a weight of 0 "I do not care".
# 2. It adds one more number, the **bias**. The bias is what the neuron leans to before it has seen anything.
# 3. It passes the result through an **activation**, a rule that turns the sum into the neuron's answer. The
#    perceptron's rule is the simplest there is: above zero the answer is 1, otherwise 0.

# sphinx_gallery_start_ignore
figure, ax = plt.subplots(figsize=(7.5, 3), layout="constrained")
ax.set(xlim=(-0.8, 6.8), ylim=(-0.5, 2.6), aspect="equal")
ax.axis("off")
node(ax, 0, 2.1, "$x_1$", BLUE)
node(ax, 0, 0.9, "$x_2$", BLUE)
node(ax, 2.6, 1.5, "sum", radius=0.42)
node(ax, 4.6, 1.5, "", radius=0.42)
ax.plot([4.35, 4.6, 4.6, 4.85], [1.32, 1.32, 1.68, 1.68], color=GREEN, lw=2, zorder=5)
wire(ax, (0, 2.1), (2.5, 1.6), "times weight $w_1$", BLUE)
wire(ax, (0, 0.9), (2.5, 1.4), "times weight $w_2$", BLUE)
wire(ax, (2.6, -0.15), (2.6, 1.35), "", ORANGE)
ax.text(2.6, -0.2, "plus bias $b$", ha="center", color=ORANGE, fontsize=9)
wire(ax, (2.75, 1.5), (4.45, 1.5))
wire(ax, (4.75, 1.5), (6.2, 1.5))
ax.text(4.6, 0.8, "activation", ha="center", color=GREEN, fontsize=9)
ax.text(5.95, 1.5, "answer", va="center", fontsize=10)
ax.text(-0.4, 2.5, "inputs", fontsize=9, color=BLUE)
# sphinx_gallery_end_ignore

# %%
# With numbers, for one flower:

weights, bias = np.array([1.0, -2.0]), 0.5
flower = np.array([1.2, 0.3])

total = weights[0] * flower[0] + weights[1] * flower[1] + bias
answer = 1 if total > 0 else 0
print(f"1.0 x 1.2  +  (-2.0) x 0.3  +  0.5  =  {total:.1f}, so the answer is {answer}")

# %%
# What weights and bias draw
# --------------------------
# Where is the border between "1" and "0"? Where the sum is exactly zero. Those places form a straight line. So a neuron
# cuts the paper in two, along one straight line. That is all it can do.
#
# Two things can be changed. On the left below the weights stay the same and only the **bias** changes: the line keeps
# its direction and is **shifted**, parallel to itself. On the right the bias is zero and the **weights** change: the
# line **turns**. The arrows show the direction of the weights; they point to the side where the answer is 1. A larger
# bias makes a neuron say 1 more readily: the line moves back, against the arrow, and the side of 1 grows.

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
across = np.linspace(-4, 4, 2)
for shift, style in ((-1.2, ":"), (0, "-"), (1.2, "--")):
    axes[0].plot(across, (-shift - 1.0 * across) / 1.6, style, color="black", label=f"bias {shift:+.1f}")
axes[0].annotate("", (0.625, 1.0), (0, 0), arrowprops={"arrowstyle": "-|>", "color": GREEN, "lw": 2})
for angle, style in ((0.45, ":"), (1.0, "-"), (1.7, "--")):
    w = np.array([np.cos(angle), np.sin(angle)])
    axes[1].plot(across * w[1], -across * w[0], style, color="black", label=f"weights {w[0]:+.1f}, {w[1]:+.1f}")
    axes[1].annotate("", w, (0, 0), arrowprops={"arrowstyle": "-|>", "color": GREEN, "lw": 2})
for ax, title in zip(axes, ("another bias: the line is shifted", "other weights: the line turns"), strict=True):
    ax.set(xlim=(-2.6, 2.6), ylim=(-1.7, 1.7), aspect="equal", xticks=[], yticks=[], title=title)
    ax.legend(fontsize=8, loc="lower left", framealpha=1)
# sphinx_gallery_end_ignore

# %%
# The perceptron learns from its mistakes
# ---------------------------------------
# Nobody has to choose the weights. Rosenblatt's rule finds them, and it is short. Take one flower after the other:
#
# - The answer is right? Change nothing.
# - It should have been 1? *Add* the flower's measurements to the weights, and 1 to the bias.
# - It should have been 0? *Subtract* them.
#
# Each correction turns and shifts the line a little, towards the right side of that flower. Here is the whole rule, and
# the library's perceptron beside it. They are the same. (``weights @ flower`` is Python's way to write a weighted sum.)

weights, bias = np.zeros(2), 0.0
for flower, species in zip(X_train, y_train, strict=True):
    side = 1 if species == 1 else -1
    if side * (weights @ flower + bias) <= 0:  # wrong, or undecided
        weights += side * flower
        bias += side

perceptron = Perceptron(max_iter=1, tol=None, shuffle=False).fit(X_train, y_train)
print("by hand:   ", weights, bias)
print("fastmlp:   ", perceptron.coef_[0], perceptron.intercept_[0])
assert np.allclose(weights, perceptron.coef_[0])

# %%
# That was one pass over the flowers. Let it make 40 passes and count its mistakes after each of them.

perceptron = Perceptron(random_state=1)
mistakes = []
for _ in range(40):
    perceptron.partial_fit(X_train, y_train, classes=[0, 1])
    mistakes.append(np.sum(perceptron.predict(X_train) != y_train))

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
regions(axes[0], perceptron.decision_function, 0, "the line after 40 passes")
points(axes[0], X_train, y_train)
axes[1].plot(range(1, 41), mistakes, ".-", color=GREY)
axes[1].set(xlabel="pass", ylabel="mistakes among 200", ylim=(0, None), title="it does not settle")
# sphinx_gallery_end_ignore

# %%
# Where a straight line can separate the two species, this rule finds one; that has been proved. Here no straight line
# can. The perceptron keeps jumping from one mistake to the next, and never settles.
#
# We have found two weaknesses, and we mend them one by one.
#
# 1. The answer is 0 or 1 and nothing in between. A flower at the very border is answered with the same certainty as one
#    far away, and the rule cannot tell whether a small change would make things a little better.
# 2. One line is not enough.
#
# A softer activation
# -------------------
# Replace the hard step by something smooth. The *logistic* function rises gently from 0 to 1. We can read its answer as
# a probability: 0.5 at the border, nearly 1 or 0 far away from it. *tanh* has the same shape, between -1 and 1. *relu*
# lets positive sums through as they are and blocks negative ones. The last two will serve inside the network.

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 4, figsize=(9, 2.3), layout="constrained", sharex=True)
z = np.linspace(-4, 4, 401)
curves = {"step": np.heaviside(z, 0), "logistic": 1 / (1 + np.exp(-z)), "tanh": np.tanh(z), "relu": np.maximum(z, 0)}
for ax, (name, curve) in zip(axes, curves.items(), strict=True):
    ax.axhline(0, color="lightgrey", lw=1)
    ax.axvline(0, color="lightgrey", lw=1)
    ax.plot(z, curve, color=GREEN, lw=2.5)
    ax.set(title=name, xlabel="sum", ylim=(-1.3, 4 if name == "relu" else 1.3))
axes[0].set_ylabel("answer")
# sphinx_gallery_end_ignore

# %%
# The same neuron with another activation
# ---------------------------------------
# One neuron with the logistic activation has a second, older name: *logistic regression*. It is not a different
# machine. In fastmlp it is a network that has nothing but this neuron, ``hidden_layer_sizes=()``. To see that they are
# one and the same, put scikit-learn's ``LogisticRegression`` beside it. (``solver`` is the way the weights are looked
# for. ``alpha`` and ``1 / C`` say the same thing: how strongly large weights are held back.)

neuron = MLPClassifier(hidden_layer_sizes=(), solver="lbfgs", alpha=1.0, tol=1e-9, random_state=0)
neuron.fit(X_train, y_train)
regression = LogisticRegression(C=1.0, tol=1e-9).fit(X_train, y_train)

print("one neuron:         ", neuron.coefs_[0].ravel().round(4), neuron.intercepts_[0].round(4))
print("logistic regression:", regression.coef_.ravel().round(4), regression.intercept_.round(4))
assert np.allclose(neuron.coefs_[0].ravel(), regression.coef_.ravel(), atol=1e-5)

# %%
# The same two weights, the same bias. This is what it has to say about every place on the paper:

# sphinx_gallery_start_ignore
figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
regions(ax, lambda at: neuron.predict_proba(at)[:, 1], 0.5, "one logistic neuron", spread=0.5)
points(ax, X_train, y_train)
# sphinx_gallery_end_ignore

# %%
# The deeper the colour, the more certain the neuron is. Near the line it is white: "I do not know". This neuron
# settles, and it makes the best of its one line. But the line is still straight. The first weakness is mended, the
# second is not.
#
# A hidden layer
# --------------
# One line is not enough? Then take several neurons. Each looks at the same two measurements and draws a line of its
# own. Then let one more neuron, at the end, look at *their* answers and combine them. The neurons in the middle are
# called *hidden*, because nobody outside sees their answers. Inputs, one hidden layer, output: that is a three-layer
# network, the classic *multilayer perceptron*.

network = MLPClassifier((4,), activation="tanh", solver="lbfgs", alpha=0.1, random_state=3)
network.fit(X_train, y_train)

# %%
# It is no more than what we know, twice: weighted sums plus bias, then the activation; and once more. In two lines of
# NumPy:

hidden = np.tanh(X_test @ network.coefs_[0] + network.intercepts_[0])
probability = 1 / (1 + np.exp(-(hidden @ network.coefs_[1] + network.intercepts_[1])))
assert np.allclose(probability[:, 0], network.predict_proba(X_test)[:, 1])

# sphinx_gallery_start_ignore
# sphinx_gallery_thumbnail_number = 7
figure = plt.figure(figsize=(9, 4.6), layout="constrained")
axes = figure.subplot_mosaic([["0", "1", "all"], ["2", "3", "all"]], width_ratios=(1, 1, 2.1))
for unit in range(4):
    ax = axes[str(unit)]
    regions(
        ax,
        lambda at, unit=unit: np.tanh(at @ network.coefs_[0][:, unit] + network.intercepts_[0][unit]),
        0,
        f"hidden neuron {unit + 1}",
        spread=1,
    )
    ax.set(xlabel="", ylabel="")
    points(ax, X_train, y_train, 4)
regions(axes["all"], lambda at: network.predict_proba(at)[:, 1], 0.5, "the output neuron combines them", spread=0.5)
points(axes["all"], X_train, y_train)
# sphinx_gallery_end_ignore

# %%
# On the left you see what each hidden neuron has found: a straight line, with a soft passage from one side to the
# other. On the right you see what the output neuron makes of the four: a curve. Nobody told the hidden neurons which
# lines to draw. They found them in training, and how that goes is told below.
#
# Deeper
# ------
# The neurons of a second hidden layer combine the lines of the first into curves, those of a third combine the curves
# into more intricate shapes. A network with several hidden layers is called *deep*. What do its layers do? They bend
# the paper. To see it, let the last hidden layer have only two neurons, so that their answers can be drawn as a point.

deep = MLPClassifier((16, 16, 2), "tanh", max_iter=150, random_state=10)
deep.set_params(alpha=0.01, learning_rate_init=0.01)
deep.fit(X_train, y_train)

answers = X_train
for weights, bias in zip(deep.coefs_[:-1], deep.intercepts_[:-1], strict=True):
    answers = np.tanh(answers @ weights + bias)

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
regions(axes[0], lambda at: deep.predict_proba(at)[:, 1], 0.5, "the flowers, as measured", spread=0.5)
points(axes[0], X_train, y_train)
points(axes[1], answers, y_train)
w, b = deep.coefs_[-1].ravel(), deep.intercepts_[-1]
axes[1].axline((0, -b[0] / w[1]), slope=-w[0] / w[1], color="black")
axes[1].set(
    xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=[], yticks=[], title="as the output neuron sees them",
    xlabel="one neuron of the last hidden layer", ylabel="the other",
)  # fmt: skip
# sphinx_gallery_end_ignore

# %%
# On the left the two species are intertwined. On the right, behind the last hidden layer, they lie apart but for a few
# flowers, and the one straight line that a neuron can draw is enough. That is what the layers before it are for.
#
# How good are they?
# ------------------
# Now the flowers that none of the four has seen:

models = {
    "perceptron": perceptron,
    "one logistic neuron": neuron,
    "one hidden layer": network,
    "deep": deep,
}
for name, model in models.items():
    print(f"{name:20} {model.score(X_test, y_test):6.1%} right")

# %%
# And the four side by side, on these flowers:

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 4, figsize=(9.5, 2.5), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    if name == "perceptron":
        regions(ax, model.decision_function, 0)
    else:
        regions(ax, lambda at, model=model: model.predict_proba(at)[:, 1], 0.5, spread=0.5)
    points(ax, X_test, y_test, 7)
    ax.set(xlabel="", ylabel="")
    ax.set_title(f"{name}\n{model.score(X_test, y_test):.1%}", fontsize=10)
# sphinx_gallery_end_ignore

# %%
# The hidden layer is what made the difference. Going deeper brings little here: the task is too simple to need it. That
# is a good habit to keep: begin small, and go deeper when the flowers you have *not* shown say that it helps.
#
# How a network learns: backpropagation
# -------------------------------------
# The perceptron's rule corrects one neuron, because its mistake is its own. In a network many weights have a share in a
# mistake. Who is to blame, and how much? *Backpropagation* answers that. It begins with the error at the output and
# goes back, layer by layer, and works out how much each weight has contributed. Then every weight is changed a little,
# against its contribution.
#
# Let us do one such step by hand: a network with two inputs, two hidden neurons and one output, all logistic, and one
# flower, of species 1. (The weights are made up, as they are at the beginning of every training. The picture further
# down shows them.) First *forward*, from the inputs to the answer:


def logistic(total):
    return 1 / (1 + np.exp(-total))


flower, truth = np.array([1.0, -0.5]), 1
hidden_weights, hidden_bias = np.array([[0.6, -0.4], [0.2, 0.9]]), np.array([0.1, -0.2])
output_weights, output_bias = np.array([0.7, -1.1]), 0.3

hidden = logistic(flower @ hidden_weights + hidden_bias)
answer = logistic(hidden @ output_weights + output_bias)
print(f"hidden neurons {hidden.round(3)}, output {answer:.3f}; the truth is {truth}")

# %%
# As the error we take how *surprised* the network is by the truth: minus the logarithm of the probability that it gave
# to it. Who was certain, and right, is not surprised: the error is 0. The less was given to the truth, the larger it
# is.

error = -np.log(answer)
print(f"error {error:.4f}")

# %%
# Now *backward*. For this error and a logistic output, the output's share of the blame is simply the answer minus the
# truth. A hidden neuron's share is that blame, times the weight through which it has spoken (who speaks louder has more
# to answer for), times how steep its activation is at this place (who would not have budged could not have helped it).

output_blame = answer - truth
steepness = hidden * (1 - hidden)  # of the logistic function
hidden_blame = output_blame * output_weights * steepness
print(f"blame of the output {output_blame:.3f}, of the hidden neurons {hidden_blame.round(3)}")

# %%
# Both ways in one picture:

# sphinx_gallery_start_ignore
figure, ax = plt.subplots(figsize=(8, 3.9), layout="constrained")
ax.set(xlim=(-0.9, 7.6), ylim=(-0.75, 3.1), aspect="equal")
ax.axis("off")
inputs, middle, end = [(0, 2.3), (0, 0.3)], [(3, 2.3), (3, 0.3)], (6, 1.3)
for i, place in enumerate(inputs):
    node(ax, *place, f"{flower[i]:.1f}", BLUE, 0.34)
    for j, target in enumerate(middle):
        # weights of crossing wires stand near their ends, where nothing else is
        wire(ax, place, target, f"{hidden_weights[i, j]:+.1f}", BLUE, at=0.5 if i == j else 0.3, lift=0, shrink=24)
for j, place in enumerate(middle):
    wire(ax, place, end, f"{output_weights[j]:+.1f}", BLUE, lift=0, shrink=24)
    node(ax, *place, f"{hidden[j]:.2f}", GREY, 0.34, below=f"blame {hidden_blame[j]:+.3f}")
node(ax, *end, f"{answer:.2f}", GREY, 0.34, below=f"blame {output_blame:+.3f}")
ax.text(6.5, 1.3, f"truth: {truth}", va="center", fontsize=10, color=GREEN)
ax.text(1.5, 3.0, "forward: answers", color=BLUE, ha="center", fontsize=10)
ax.annotate("", (3.9, 2.98), (2.4, 2.98), arrowprops={"arrowstyle": "-|>", "color": BLUE})
ax.text(4.9, -0.65, "backward: blame", color=ORANGE, ha="center", fontsize=10)
ax.annotate("", (2.5, -0.62), (3.95, -0.62), arrowprops={"arrowstyle": "-|>", "color": ORANGE})
# sphinx_gallery_end_ignore

# %%
# It has everything but the biases. Negative blame means "should have answered more", positive blame "should have
# answered less". (The second hidden neuron speaks through a negative weight, so it should have kept quieter.) A
# weight's contribution to the error is what came in through it, times the blame of the neuron that it leads to. Each
# weight takes a small step against its contribution. How small is up to us: that number is the *learning rate*, here
# 0.5. A bias is treated as the weight of an input that is always 1. (``np.outer`` multiplies every input by every
# blame, for there is a weight between any two of them.)

learning_rate = 0.5
new_output_weights = output_weights - learning_rate * hidden * output_blame
new_output_bias = output_bias - learning_rate * output_blame
new_hidden_weights = hidden_weights - learning_rate * np.outer(flower, hidden_blame)
new_hidden_bias = hidden_bias - learning_rate * hidden_blame

hidden = logistic(flower @ new_hidden_weights + new_hidden_bias)
answer = logistic(hidden @ new_output_weights + new_output_bias)
print(f"the error was {error:.4f}, after one step it is {-np.log(answer):.4f}")

# %%
# Does the library do the same? Give it the same weights and the same flower, and let it take one step:

library = MLPClassifier((2,), "logistic", solver="sgd", learning_rate_init=0.5, momentum=0, alpha=0)
library.partial_fit([flower], [truth], classes=[0, 1])  # makes the network; now our weights go in
library.coefs_ = [hidden_weights, output_weights[:, None]]
library.intercepts_ = [hidden_bias, np.array([output_bias])]
library.partial_fit([flower], [truth])

print("by hand: ", new_hidden_weights.ravel().round(6), new_output_weights.round(6))
print("fastmlp: ", library.coefs_[0].ravel().round(6), library.coefs_[1].ravel().round(6))
assert np.allclose(library.coefs_[0], new_hidden_weights)
assert np.allclose(library.coefs_[1].ravel(), new_output_weights)
assert np.allclose(np.concatenate(library.intercepts_), [*new_hidden_bias, new_output_bias])

# %%
# And is "contribution" more than a word? Try it: make one weight larger by a tiny bit, and see by how much the error
# changes for each bit. That is the number that backpropagation has found, without trying.

tiny = 1e-6
nudged = hidden_weights.copy()
nudged[0, 1] += tiny
nudged_hidden = logistic(flower @ nudged + hidden_bias)
nudged_error = -np.log(logistic(nudged_hidden @ output_weights + output_bias))
tried, found = (nudged_error - error) / tiny, flower[0] * hidden_blame[1]
print(f"tried: {tried:.5f}   backpropagation: {found:.5f}")
assert np.isclose(tried, found, rtol=1e-4)

# %%
# Trying would take one more run through the network for each weight. Backpropagation has them all after one run forward
# and one back. That is why networks with millions of weights can learn at all.
#
# Over and over
# -------------
# One step helps little. Training is many steps: a handful of flowers, forward, backward, a small change; the next
# handful; and when all flowers have had their turn, from the beginning. One such round is called an *epoch*. Let us
# look over the network's shoulder at some of them. (``solver="adam"``, the default, is the step from above with a
# learning rate of its own for every weight.)

seen = {}


def look(estimator, epoch, metrics):
    if epoch in (1, 10, 40, 80, 200):
        seen[epoch] = estimator


model = MLPClassifier((16, 16), "tanh", learning_rate_init=0.01, batch_size=32, random_state=0)
model.set_params(max_iter=200, n_iter_no_change=200, callbacks=look)
model.fit(X_train, y_train, X_val=X_test, y_val=y_test)

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 5, figsize=(10, 2.3), layout="constrained")
for ax, (epoch, estimator) in zip(axes, seen.items(), strict=True):
    regions(ax, lambda at, estimator=estimator: estimator.predict_proba(at)[:, 1], 0.5, spread=0.5)
    points(ax, X_train, y_train, 4)
    ax.set(xlabel="", ylabel="")
    ax.set_title(f"after epoch {epoch}" if epoch > 1 else "after 1 epoch", fontsize=10)
# sphinx_gallery_end_ignore

# %%
# After one epoch the border is vague. Then it is a line, as a single neuron would have drawn it. Then it bends, and in
# the end it makes a kink around a few flowers. Here is the error, epoch by epoch. The pale upright lines are the five
# pictures:

# sphinx_gallery_start_ignore
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(range(1, len(model.loss_curve_) + 1), model.loss_curve_, color=GREY, label="flowers it learns from")
ax.plot(range(1, len(model.loss_curve_) + 1), model.validation_loss_curve_, color=ORANGE, label="flowers it never sees")
for epoch in seen:
    ax.axvline(epoch, color="lightgrey", lw=1, zorder=0)
ax.set(xlabel="epoch", ylabel="mean error", ylim=(0, None))
ax.legend()
# sphinx_gallery_end_ignore

# %%
# On the flowers it learns from, the error goes down, with a stumble now and then. Keep an eye on the orange curve: the
# error on flowers that the network never learns from. As long as it falls, the network learns something about flowers.
# Where it rises while the other goes on falling, the network learns these 200 flowers by heart. That is called
# *overfitting*: it should have stopped before. (With ``early_stopping=True`` it does.)
#
# What you know now
# -----------------
# - A neuron is a weighted sum plus a bias, then an activation. It draws one line; the bias shifts it, the weights turn
#   it.
# - A network is layer after layer of them. The hidden layers bend the paper until one line is enough.
# - It learns by backpropagation: forward to an answer, back with the blame, a small step, over and over.
# - Judge it by what it has not seen.
#
# There is nothing else inside :class:`fastmlp.MLPClassifier`. What it adds is speed, care with numbers, and many ways
# to train well. :ref:`sphx_glr_gallery_plot_tabular.py` shows some of these.
