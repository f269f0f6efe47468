"""How networks over tables are built and trained: RealMLP's recipe, by Holzmueller, Grinsztajn & Steinwart (2024),
"Better by default: strong pre-tuned MLPs and boosted trees on tabular data"."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from ..borrowed import Interval, validate_parameter_constraints
from ..engine import OPTIMIZERS, Network
from ..engine.architecture import (
    Dense,
    Embedding,
    Indicators,
    Inputs,
    Numbers,
    Parametric,
    Periodic,
    Piecewise,
    Scale,
)
from .schedules import cosines

__all__ = [
    "N_BINS",
    "Recipe",
    "Shuffled",
    "Trained",
    "cosine_of_logarithm",
    "flat_cosine",
    "initialise",
    "layers_for",
    "train_member",
]

_BATCH_SIZES = ((1024, 64), (8192, 128), (30_000, 256), (100_000, 512))  # most rows, size of a batch
N_BINS = 48  # that an encoder divides a column of numbers into; a recipe may take fewer
_MOST_ROWS = 4096  # that an initialisation looks at
_WIDE = 200  # columns of numbers; more of them, such as pixels, say little each and take long to embed
_CLIP = 3.01  # no number of an encoder is greater

_COUNT = [Interval(Integral, 1, None, closed="left")]
_SHARE = [Interval(Real, 0, 1, closed="left")]
_FACTOR = [Interval(Real, 0, None, closed="left")]
_CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like"],
    "activation": [str],
    "frequencies": [Interval(Integral, 0, None, closed="left")],
    "number_width": _COUNT,
    "frequency_scale": _FACTOR,
    "n_bins": [Interval(Integral, 0, N_BINS, closed="both")],
    "piecewise_width": _COUNT,
    "category_width": _COUNT,
    "dropout": _SHARE,
    "weight_decay": _FACTOR,
    "label_smoothing": _SHARE,
    "learning_rate": _FACTOR,
    "beta_2": _SHARE,
    "first_rate": _FACTOR,
    "scale_rate": _FACTOR,
    "number_rate": _FACTOR,
    "piecewise_rate": _FACTOR,
    "epochs": _COUNT,
    "batch_size": [*_COUNT, None],
}


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a network over a table and its training.

    The defaults are RealMLP-TD's for classification but for the epochs, of which it has 256: five members of 64 take
    about as long as one of its networks.
    """

    hidden_layer_sizes: tuple = (256, 256, 256)
    activation: str = "selu"
    frequencies: int = 16  # of the periodic embedding of a number; 0: no such embedding
    number_width: int = 3  # length of that embedding, beside the number itself
    frequency_scale: float = 0.1  # standard deviation of the frequencies at first
    n_bins: int = 0  # of the piecewise-linear embedding of a number, at most; 0, and wide tables: no such embedding
    piecewise_width: int = 8  # length of that embedding
    category_width: int = 8  # length of the embedding of a category
    dropout: float = 0.15
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    learning_rate: float = 0.04
    beta_2: float = 0.95
    # factors of the learning rate
    first_rate: float = 1.0  # of the first dense layer
    scale_rate: float = 6.0
    number_rate: float = 0.1  # of periodic embeddings
    piecewise_rate: float = 0.5  # of piecewise-linear embeddings
    epochs: int = 64
    batch_size: int | None = None  # None: by the number of rows

    def __post_init__(self):
        validate_parameter_constraints(_CONSTRAINTS, vars(self), "Recipe")
        # a list or an array has no hash, and recipes are keys of what their epochs take
        object.__setattr__(self, "hidden_layer_sizes", tuple(self.hidden_layer_sizes))

    def batch_size_for(self, n_rows):
        """Rows of a batch, all of them where they are fewer."""
        size = self.batch_size
        if size is None:
            size = next((size for most, size in _BATCH_SIZES if n_rows <= most), 1024)
        return min(size, n_rows)


class _Optimizer:
    """Adam with decoupled weight decay, as `Network.epoch` reads it."""

    name = "adamw"

    def __init__(self, network, recipe, seed):
        self.rate, self.t = recipe.learning_rate, 0
        self.hyper = {"beta_1": 0.9, "beta_2": recipe.beta_2, "epsilon": 1e-8, "weight_decay": recipe.weight_decay}
        self.state = [network.new_state() for _ in range(OPTIMIZERS[self.name])]
        self.dropout_seed = seed
        # networks in the paper divide sums by sqrt(fan_in) in place of the weights, and weight decay does not see it;
        # of the other groups it sees the factor of the learning rate twice
        self.groups = {}
        for i, weights in enumerate(network.coefs):
            factor = 1.0 if i else recipe.first_rate
            root = math.sqrt(len(weights))
            self.groups[_weights(i)] = {"rate": factor / root, "decay": factor * root}
        for name, factor in (
            ("scales", recipe.scale_rate),
            ("numeric embeddings", recipe.number_rate),
            (_PIECEWISE, recipe.piecewise_rate),
            ("activations", 0.1),
        ):
            self.groups[name] = {"rate": factor, "decay": factor}
        self.groups["biases"] = {"rate": 0.1, "decay": 0.0}
        self.groups = {name: factors for name, factors in self.groups.items() if name in network.groups}

    def schedule(self, recipe, done, n_batches, n):
        """Take the numbers of the next n batches, the done-th update of all and on; an epoch has n_batches."""
        t = (done + np.arange(n)) / (recipe.epochs * n_batches)
        self.rates = recipe.learning_rate * cosine_of_logarithm(t)
        self.dropout_factors = flat_cosine(t)
        self.decays = recipe.weight_decay * self.dropout_factors


_PIECEWISE = "piecewise embeddings"  # the group of their parameters


def _weights(i):
    """The group of the i-th dense layer's weights."""
    return f"weights {i}"


def cosine_of_logarithm(t):
    """(1 - cos(2 pi log2(1 + 15 t))) / 2 for t from 0 to 1: four cycles, each twice as long as the one before."""
    return 0.5 * (1 - cosines([2 * math.pi * math.log2(1 + 15 * share) for share in t]))


def flat_cosine(t):
    """1 up to t = 1/2, then (1 + cos(pi (2 t - 1))) / 2."""
    return 0.5 * (1 + cosines(math.pi * np.maximum(2 * t - 1, 0)))


def layers_for(recipe, encoder, n_outputs):
    """A network over the columns of a table.

    Parameters
    ----------
    recipe : Recipe
    encoder : TableEncoder
        Fitted.
    n_outputs : int

    Returns
    -------
    layers : list
        As `Network` takes it.
    dropout : list of float
    """
    n_numbers, n_codes = len(encoder.number_names_), len(encoder.code_columns_)
    layers = [Inputs(n_numbers, tuple(map(int, encoder.n_levels_)))]
    if recipe.frequencies and encoder.n_continuous_:
        layers.append(Periodic(range(encoder.n_continuous_), recipe.frequencies, recipe.number_width))
    if recipe.n_bins and 0 < encoder.n_continuous_ <= _WIDE:
        edges = _edges(encoder.knots_, recipe.n_bins)
        layers.append(Piecewise(edges, range(encoder.n_continuous_), recipe.piecewise_width, _PIECEWISE))
    if n_numbers:
        layers.append(Numbers())
    if encoder.n_onehot_:
        onehot = encoder.code_columns_[: encoder.n_onehot_]
        off, on = (np.concatenate([column.constants[i] for column in onehot]) for i in (0, 1))
        layers.append(Indicators(on, off, range(encoder.n_onehot_)))
    if encoder.n_onehot_ < n_codes:
        layers.append(Embedding(recipe.category_width, range(encoder.n_onehot_, n_codes)))
    layers.append(Scale())
    dropout = [0.0] * len(layers)
    for i, units in enumerate(recipe.hidden_layer_sizes):
        layers += [Dense(units, weights=_weights(i)), Parametric(recipe.activation)]
        dropout += [0.0, recipe.dropout]
    return [*layers, Dense(n_outputs, weights=_weights(len(recipe.hidden_layer_sizes)))], dropout


def _edges(knots, n_bins):
    """Edges of at most n_bins bins between knots of columns, and two bins more.

    The outermost reach from the least and the greatest value of training to the ends of the smooth clip. No training
    row is there: the encoding stays as it is at the least and at the greatest value.
    """
    ends = np.float32([-_CLIP, _CLIP])
    rows = []
    for own in knots:
        at = np.linspace(0, len(own) - 1, min(n_bins + 1, len(own))).round().astype(np.intp)
        rows.append(np.union1d(own[at], ends))
    edges = np.full((len(rows), max(map(len, rows))), np.inf, dtype=np.float32)
    for own, row in zip(edges, rows, strict=True):
        own[: len(row)] = row
    return edges


def initialise(network, layers, X, codes, rows, recipe, rng):
    """Draw a network's parameters, and fit those of the dense layers to the data.

    A dense layer's weights are scaled so that its sums have the standard deviation 1 over the rows, and its biases are
    -sum(u z) of each unit's sums z at five rows, with u uniform on the simplex ("he+5" in the authors' code).

    Parameters
    ----------
    network : Network
    layers : list
        That it was made of.
    X : ndarray of float32 of shape (n, n_numbers)
    codes : ndarray of int32 of shape (n, n_codes), or None
    rows : ndarray of intp
        The rows to train on.
    recipe : Recipe
    rng : numpy.random.Generator
    """
    rows = rows if len(rows) <= _MOST_ROWS else rng.choice(rows, _MOST_ROWS, replace=False)
    arrays = {name: array for name, array, _ in network.parameters}
    k = recipe.frequencies
    for name, array in arrays.items():
        if name.startswith(("scales", "activations")):
            array[:] = 1
        elif name.startswith("embeddings"):
            array[:] = rng.standard_normal(array.shape)
        elif name.startswith("piecewise"):  # x is there at first, its bins come with the training
            array[:] = 0
            linear = array[:, : 2 * recipe.piecewise_width]
            linear[:] = rng.uniform(-1, 1, linear.shape)
        elif name.startswith("periodic"):
            array[:, :k] = recipe.frequency_scale * rng.standard_normal((len(array), k))
            array[:, k : 2 * k] = rng.uniform(-math.pi, math.pi, (len(array), k))
            array[:, 2 * k :] = rng.uniform(-1, 1, (len(array), array.shape[1] - 2 * k)) / math.sqrt(k)
    for i, (weights, biases) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        weights[:] = rng.standard_normal(weights.shape)
        biases[:] = 0
        sums = _sums(network, layers, i, X, codes, rows)
        # of a unit whose sums are one number, the rounding of which is not to be scaled, the weights stay as drawn
        spread, largest = sums.std(axis=0), np.abs(sums).max(axis=0)
        scale = 1 / np.where(spread > 1e-6 * largest, spread, 1)
        weights *= scale
        at = rng.integers(len(rows), size=(5, weights.shape[1]))
        shares = rng.exponential(size=at.shape)
        biases[:] = -(shares / shares.sum(axis=0) * sums[at, np.arange(weights.shape[1])]).sum(axis=0) * scale


def _sums(network, layers, i, X, codes, rows):
    """What the i-th dense layer of a network adds up for some rows, biases included."""
    end = [j for j, layer in enumerate(layers) if isinstance(layer, Dense)][i] + 1
    part = Network(layers[:end], None, "squared_error", network.dtype, isa=network.isa, n_threads=network.n_threads)
    for (_, own, _), (_, given, _) in zip(part.parameters, network.parameters, strict=False):
        own[...] = given
    return part.predict(X, rows, codes=codes)


@dataclass
class Trained:
    """A trained network of an ensemble, with its best parameters, and what its epochs came to."""

    network: Network
    losses: list
    scores: list
    best_epoch: int  # from 1 on


class Shuffled:
    """Rows in memory, all in random order.

    Parameters
    ----------
    rows : ndarray of intp
        Their numbers.

    Attributes
    ----------
    n_rows : int
    sample : ndarray of intp
        Those of which an initialisation takes some.
    """

    def __init__(self, rows):
        self.sample, self.n_rows = rows, len(rows)

    def epoch(self, rng):
        """Numbers of the rows in the order of an epoch, in parts that are trained on one after another.

        Returns
        -------
        n_parts : int
            0 if there is one.
        parts : iterator of ndarray of intp
        """
        return 0, iter([rng.permutation(self.sample)])


def train_member(
    layers,
    dropout,
    data,
    rows,
    held_out,
    recipe,
    *,
    loss,
    loss_options,
    seed,
    score,
    judged,
    n_threads=None,
    epoch_begins=None,
    epoch_ends=None,
    part_ends=None,
):
    """Train a network on some rows and keep the parameters that are best on others.

    Parameters
    ----------
    layers, dropout : list
        Of :func:`layers_for`.
    data : tuple of X, codes, y and sample_weight
        As :meth:`Network.bind` takes them.
    rows : Shuffled, or likewise
        The rows to train on.
    held_out : ndarray of intp
        The rows that say which epoch is the best.
    recipe : Recipe
    loss, loss_options
        As `Network` takes them.
    seed : int or sequence of int
        Of initialisation, order of rows and dropout.
    score : callable
        The score of outputs for the held-out rows; greater is better. It sees finite outputs alone: others have -inf,
        and their epoch is not kept.
    judged : tuple of X and codes
        Where the held-out rows are.
    n_threads : int, default=None
        As `Network` takes it.
    epoch_begins : callable, default=None
        Called before each epoch with the number of its parts, 0 if it has one.
    epoch_ends : callable, default=None
        Called with a `Trained` after each epoch; training ends where it returns true.
    part_ends : callable, default=None
        Called after each part of an epoch that has several, with the number of the epoch, from 1, the rows of it that
        are trained on, and all of them.

    Returns
    -------
    trained : Trained
    """
    X, codes, y, sample_weight = data
    rng = np.random.default_rng(seed)
    network = Network(layers, None, loss, X.dtype, loss_options=loss_options, dropout=dropout, n_threads=n_threads)
    initialise(network, layers, X, codes, rows.sample, recipe, rng)
    batch_size = recipe.batch_size_for(rows.n_rows)
    n_batches = rows.n_rows // batch_size  # rows that are left over wait for the next epoch
    X_held_out, codes_held_out = judged
    optimizer = _Optimizer(network, recipe, int(rng.integers(2**63)))
    parameters = [array for _, array, _ in network.parameters]
    best, best_score = [array.copy() for array in parameters], -math.inf
    trained = Trained(network, [], [], 0)
    network.bind(X, y, sample_weight, codes=codes)
    try:
        for epoch in range(recipe.epochs):
            n_parts, parts = rows.epoch(rng)
            if epoch_begins is not None:
                epoch_begins(n_parts)
            for order, done in _whole_batches(parts, batch_size, n_batches):
                batches = len(order) // batch_size
                optimizer.schedule(recipe, epoch * n_batches + done, n_batches, batches)
                more = done + batches < n_batches
                mean = network.epoch(order, batch_size, optimizer, 0.0, first_row=done * batch_size, more=more)
                if n_parts and part_ends is not None:
                    part_ends(epoch + 1, (done + batches) * batch_size, n_batches * batch_size)
            trained.losses.append(mean)
            if not math.isfinite(trained.losses[-1]):
                break
            outputs = network.predict(X_held_out, held_out, codes=codes_held_out)
            finite = np.isfinite(outputs).all()
            trained.scores.append(score(outputs) if finite else -math.inf)
            # of equal scores the latest counts
            if finite and trained.scores[-1] >= best_score:
                best_score = trained.scores[-1]
                trained.best_epoch = epoch + 1
                for kept, array in zip(best, parameters, strict=True):
                    kept[...] = array
            if epoch_ends is not None and epoch_ends(trained):
                break
    finally:
        network.release()
        for kept, array in zip(best, parameters, strict=True):
            array[...] = kept
    return trained


def _whole_batches(parts, batch_size, n_batches):
    """Parts of an epoch as orders of whole batches, and how many batches are before each.

    Rows that do not fill a batch begin the next part.
    """
    left, done = np.empty(0, dtype=np.intp), 0
    for part in parts:
        order = np.concatenate([left, part])
        n = min(len(order) // batch_size, n_batches - done)
        if n:
            yield order[: n * batch_size], done
        left, done = order[n * batch_size :], done + n
