"""Parameters of an estimator as its optimizer reads them, none of them a default."""

PARAMS = {
    "learning_rate_init": 0.2,
    "learning_rate": "constant",
    "power_t": 0.5,
    "momentum": 0.7,
    "nesterovs_momentum": False,
    "beta_1": 0.8,
    "beta_2": 0.95,
    "epsilon": 1e-5,
}
