"""
What a prediction is made of
============================

A network that tells benign tumours from malignant ones, and three questions to it. Which measurements matter? What has
decided this one case? And is the explanation the whole truth?

The table has 569 tumours with thirty measurements of their cells. Class 1 is benign.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

data = load_breast_cancer()
names = data.feature_names
X_train, X_test, y_train, y_test = train_test_split(data.data, data.target, random_state=0)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

model = MLPClassifier((32,), "tanh", alpha=1.0, max_iter=400, random_state=0).fit(X_train, y_train)
print(f"{model.score(X_test, y_test):.1%} of the test rows are right")

# %%
# Which measurements matter?
# --------------------------
# ``input_gradients`` says by how much the score of every row changes when a measurement does. All measurements are
# standardised, so that their mean sizes can be compared. Permutation importance asks in another way: how much worse do
# the predictions become when a column is shuffled? It needs many predictions, and the labels.

gradients = model.input_gradients(X_test, raw_score=True)
saliency = np.abs(gradients).mean(axis=0)
permuted = permutation_importance(
    model, X_test, y_test, scoring="neg_log_loss", n_repeats=20, random_state=0
).importances_mean

top = saliency.argsort()[-12:]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
axes[0].barh(names[top], saliency[top], color="#2878b5")
axes[0].set(title="mean size of the gradient", xlabel="logit per standard deviation")
axes[1].barh(names[top], permuted[top], color="#e8871e")
axes[1].set(title="permutation importance", xlabel="rise of the log-loss", xticks=[0, 0.01, 0.02, 0.03])

# %%
# They need not agree. Many of these columns say nearly the same thing, a tumour's radius, perimeter and area above all:
# shuffle one, and the others still speak.

order = [np.argsort(np.argsort(-importance)) for importance in (saliency, permuted)]
shared = sum((order[0] < 10) & (order[1] < 10))
print(f"{shared} measurements are among the first ten of both")

# %%
# What has decided this case?
# ---------------------------
# A gradient says what would change. ``integrated_gradients`` says what is there. It compares one row with a baseline,
# here with zeros, the average tumour, and shares out the difference of the two scores among the measurements. We take
# the test row about which the network is most wrong: what has misled it?

case = np.abs(model.predict_proba(X_test)[:, 1] - y_test).argmax()
row, average = X_test[[case]], np.zeros((1, X_test.shape[1]))
shares = model.integrated_gradients(row, raw_score=True)[0]

chances = model.predict_proba(np.vstack([average, row]))[:, 1]
start, end = np.log(chances / (1 - chances))
for name, chance, score in (("average", chances[0], start), ("this one", chances[1], end)):
    print(f"{name:9} benign with {chance:.1%}, a score of {score:+.2f}")
print(f"truth: {data.target_names[y_test[case]]}")

# %%
# The score (the logit) is above 0 for benign and below for malignant. The bars go from the one score to the other, each
# from where the last has ended: the nine largest, and the rest in one.

# sphinx_gallery_thumbnail_number = 2
by_size = np.abs(shares).argsort()[::-1]
labels = [*(f"{names[j]}, {row[0, j]:+.1f}" for j in by_size[:9]), "21 others"]
steps = np.array([*shares[by_size[:9]], shares[by_size[9:]].sum()])
ends = start + steps.cumsum()

figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
ax.barh(labels, steps, left=ends - steps, color=np.where(steps > 0, "#2878b5", "#e8871e"))
for value, text in ((start, "average tumour"), (end, "this tumour")):
    ax.axvline(value, color="#555555", lw=1, ls="--", zorder=0)
    ax.text(value, 1.02, text, ha="center", transform=ax.get_xaxis_transform())
ax.set(xlabel="score of benign", xlim=(min(start, *ends) - 0.2, max(start, *ends) + 0.2))
ax.invert_yaxis()

# %%
# Behind each name is how far this tumour lies from the average, in standard deviations. Blue speaks for benign, orange
# against. What has misled the network lies far out; one of these measurements further than in any tumour that it has
# learned from:

smoothness = list(names).index("smoothness error")
print(f"smoothness error {row[0, smoothness]:.1f}, in training at most {X_train[:, smoothness].max():.1f}")

# %%
# Is it the whole truth?
# ----------------------
# Of the prediction, yes: the shares add up to the difference of the two scores, and that can be checked. Of the world,
# no: they say what this network makes of its numbers, and not what makes a tumour grow.

print(f"sum of the shares {shares.sum():.6f}, difference {end - start:.6f}")
assert np.isclose(shares.sum(), end - start, atol=1e-6)

# %%
# :doc:`/explaining` says more: several classes, scores before the link, baselines, and how exact the sums are.
