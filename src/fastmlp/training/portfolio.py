"""The recipes that members of an ensemble are trained by, in their order.

They were drawn from the search space of RealMLP's authors, with embeddings of both kinds, and put in order by adding
the one that makes the average best, again and again, on a part of open sets of data: `bench/results/portfolio.md`.
"""

from dataclasses import replace

from .recipes import Recipe

__all__ = ["ALONE_CLASSIFICATION", "ALONE_REGRESSION", "CLASSIFICATION", "REGRESSION"]

# fmt: off
CLASSIFICATION = (
    Recipe(
        hidden_layer_sizes=(64, 64), activation="mish", frequencies=0, n_bins=48, piecewise_width=12,
        category_width=16, dropout=0.21, weight_decay=0.043, label_smoothing=0.0, learning_rate=0.061, beta_2=0.98,
        first_rate=0.54, scale_rate=2.1, piecewise_rate=0.24,
    ),
    Recipe(hidden_layer_sizes=(128, 128, 128), activation="mish", learning_rate=0.08),
    Recipe(
        hidden_layer_sizes=(256, 256), activation="mish", number_width=7, n_bins=48, dropout=0.05,
        learning_rate=0.05, epochs=48,
    ),
    Recipe(
        hidden_layer_sizes=(96, 96, 96), activation="mish", frequency_scale=2.5, n_bins=48, dropout=0.25,
        weight_decay=0.038, label_smoothing=0.0, learning_rate=0.093, beta_2=0.99, first_rate=1.2, scale_rate=4.1,
        number_rate=0.054, piecewise_rate=0.41,
    ),
    Recipe(
        hidden_layer_sizes=(128, 128, 128), activation="relu", frequency_scale=0.15, n_bins=16, piecewise_width=4,
        dropout=0.1, learning_rate=0.08, beta_2=0.97,
    ),
    Recipe(hidden_layer_sizes=(128, 128, 128), frequencies=0),
    Recipe(activation="mish", frequency_scale=0.2, dropout=0.1, weight_decay=0.01, learning_rate=0.1, epochs=48),
    Recipe(hidden_layer_sizes=(128, 128, 128), dropout=0.3, learning_rate=0.02),
    Recipe(
        hidden_layer_sizes=(64, 64, 64), activation="mish", frequencies=8, frequency_scale=0.11, n_bins=48,
        piecewise_width=4, dropout=0.4, weight_decay=0.0072, label_smoothing=0.038, learning_rate=0.095, beta_2=0.98,
        first_rate=1.4, scale_rate=3.8, number_rate=0.077, piecewise_rate=0.52, epochs=48,
    ),
    Recipe(
        hidden_layer_sizes=(128, 128, 128), frequency_scale=0.81, n_bins=48, category_width=4, dropout=0.46,
        weight_decay=0.0027, label_smoothing=0.034, learning_rate=0.046, beta_2=0.99, first_rate=0.48,
        scale_rate=3.1, number_rate=0.14, piecewise_rate=0.4,
    ),
    Recipe(
        hidden_layer_sizes=(64, 64), activation="mish", frequencies=8, frequency_scale=3.3, n_bins=32,
        category_width=16, dropout=0.44, weight_decay=0.0019, label_smoothing=0.048, learning_rate=0.028,
        beta_2=0.97, first_rate=1.2, scale_rate=6.2, number_rate=0.2, epochs=128,
    ),
    Recipe(
        hidden_layer_sizes=(256, 256), frequencies=8, frequency_scale=0.52, n_bins=48, piecewise_width=12,
        dropout=0.34, weight_decay=0.0029, label_smoothing=0.088, learning_rate=0.063, beta_2=0.96, first_rate=0.54,
        scale_rate=5.9, number_rate=0.23, piecewise_rate=0.71, epochs=48,
    ),
    Recipe(),
)
REGRESSION = (
    Recipe(
        hidden_layer_sizes=(192, 192), activation="mish", frequencies=0, n_bins=48, dropout=0.1, weight_decay=0.003,
        learning_rate=0.03, piecewise_rate=1.0,
    ),
    Recipe(hidden_layer_sizes=(128, 128, 128), activation="mish", learning_rate=0.08),
    Recipe(
        hidden_layer_sizes=(64, 64, 64), activation="mish", frequency_scale=0.8, n_bins=48, piecewise_width=12,
        dropout=0.14, weight_decay=0.043, learning_rate=0.08, beta_2=0.97, scale_rate=8.3, number_rate=0.051,
        piecewise_rate=0.26, epochs=48,
    ),
    Recipe(
        hidden_layer_sizes=(128, 128, 128), activation="mish", number_width=7, frequency_scale=0.67, n_bins=12,
        category_width=16, dropout=0.34, weight_decay=0.04, learning_rate=0.11, first_rate=0.45, scale_rate=7.6,
        number_rate=0.051, piecewise_rate=0.79,
    ),
    Recipe(
        hidden_layer_sizes=(64, 64), activation="mish", frequencies=0, n_bins=48, dropout=0.12, weight_decay=0.014,
        learning_rate=0.029, beta_2=0.97, first_rate=0.73, scale_rate=3.1, piecewise_rate=0.81,
    ),
    Recipe(
        hidden_layer_sizes=(64, 64, 64), activation="mish", frequencies=8, frequency_scale=0.11, n_bins=48,
        piecewise_width=4, dropout=0.4, weight_decay=0.0072, learning_rate=0.095, beta_2=0.98, first_rate=1.4,
        scale_rate=3.8, number_rate=0.077, piecewise_rate=0.52, epochs=48,
    ),
    Recipe(
        hidden_layer_sizes=(128, 128, 128), activation="mish", number_width=7, frequency_scale=0.21, n_bins=48,
        dropout=0.075, weight_decay=0.0031, learning_rate=0.055, beta_2=0.98, first_rate=1.4, scale_rate=5.5,
        number_rate=0.078, piecewise_rate=0.51, epochs=48,
    ),
    Recipe(
        hidden_layer_sizes=(64, 64, 64), activation="mish", number_width=7, frequency_scale=4.5, n_bins=48,
        piecewise_width=4, category_width=16, dropout=0.29, weight_decay=0.044, learning_rate=0.089, beta_2=0.97,
        first_rate=0.72, scale_rate=9.6, number_rate=0.069, piecewise_rate=0.6,
    ),
    Recipe(
        hidden_layer_sizes=(64, 64), activation="mish", frequencies=0, n_bins=48, piecewise_width=12,
        category_width=16, dropout=0.21, weight_decay=0.043, learning_rate=0.061, beta_2=0.98, first_rate=0.54,
        scale_rate=2.1, piecewise_rate=0.24,
    ),
    Recipe(
        hidden_layer_sizes=(128, 128, 128), activation="mish", number_width=7, frequency_scale=0.67, n_bins=48,
        category_width=16, dropout=0.34, weight_decay=0.04, learning_rate=0.11, first_rate=0.45, scale_rate=7.6,
        number_rate=0.051, piecewise_rate=0.1,
    ),
    Recipe(
        hidden_layer_sizes=(64, 64), activation="mish", frequencies=8, frequency_scale=3.3, n_bins=32,
        category_width=16, dropout=0.44, weight_decay=0.0019, learning_rate=0.028, beta_2=0.97, first_rate=1.2,
        scale_rate=6.2, number_rate=0.2, epochs=128,
    ),
    Recipe(
        hidden_layer_sizes=(128, 128), activation="mish", frequencies=8, frequency_scale=5.0, n_bins=48,
        piecewise_width=4, dropout=0.27, weight_decay=0.025, learning_rate=0.14, beta_2=0.99, first_rate=1.5,
        scale_rate=3.6, number_rate=0.083, piecewise_rate=0.67, epochs=48,
    ),
)
# fmt: on

# of a single member: a wide network, which no others stand beside, for longer
ALONE_CLASSIFICATION = replace(CLASSIFICATION[2], epochs=128)
ALONE_REGRESSION = replace(REGRESSION[6], epochs=128)
