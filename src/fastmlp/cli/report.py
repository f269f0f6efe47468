"""One page of HTML, with all pictures in it, on runs."""

import html
import io

import numpy as np

from .runs import mean_curve, names_of_curves

__all__ = ["page", "shown"]

_STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#222;
background:#fff}table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
td,th{padding:.25em .8em;text-align:left;border-bottom:1px solid #ddd}p{color:#555}
div.wide{overflow-x:auto}svg{width:100%;min-width:44em;max-width:var(--width);height:auto}"""
_UNSET = -0.2  # where lines cross the axis of a parameter that their run does not set
_MOST = 12  # runs whose curves are drawn, the best ones


def page(runs, metric, names):
    """The text of the page.

    Parameters
    ----------
    runs : list of Run
        The best first.
    metric : str
        The score.
    names : list of str
        What differs between the runs.

    Returns
    -------
    str
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('A report needs matplotlib: pip install "fastmlp[plot]".') from error
    # text stays text, and the same runs make the same bytes
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fastmlp"}):
        parts = [
            ("Runs", _table(runs, metric, names)),
            (f"{metric} against each hyperparameter", _against(runs, metric, names)),
            ("Parallel coordinates", _parallel(runs, metric, names)),
            (f"Curves of the best {min(len(runs), _MOST)}", _curves(runs)),
            ("Score against time", _time(runs, metric)),
        ]
    body = "".join(f"<h2>{html.escape(title)}</h2>\n{content}\n" for title, content in parts if content)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{len(runs)} runs</title><style>{_STYLE}</style>"
    best = f"The best by {metric}: {runs[0].name}, {_score(runs[0], metric)}"
    body = f"<h1>{len(runs)} runs</h1>\n<p>{html.escape(best)} over {len(runs[0].scores(metric))} fits.</p>\n{body}"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def shown(value):
    """A value of a parameter as tables show it: numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score(run, metric):
    scores = run.scores(metric)
    return f"{scores.mean():.4f} ± {scores.std():.4f}"


def _table(runs, metric, names):
    heading = ["run", metric, "folds", "seconds", "digest", *names]
    rows = []
    for run in runs:
        params = run.params()
        digest = run.state["model"]["digest"][:8] if run.finished else "interrupted"
        row = [run.name, _score(run, metric), len(run.scores(metric)), f"{run.seconds:.1f}", digest]
        rows.append([*row, *(shown(params.get(name, "-")) for name in names)])
    cells = ["".join(f"<td>{html.escape(str(value))}</td>" for value in row) for row in rows]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heading)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in cells)}</table></div>'


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure):
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    width = f' style="--width:{96 * figure.get_figwidth():.0f}px"'
    return f'<div class="wide"><svg{width}{text.getvalue().partition("<svg")[2]}</div>'


def _places(runs, name):
    """Where the values of a parameter stand on an axis, their ticks, and whether the axis is logarithmic.

    Numbers of runs that do not set the parameter are NaN.
    """
    values = [run.params().get(name, "-") for run in runs]
    numbers = [value for value in values if value != "-"]
    if all(type(value) in (int, float) for value in numbers):
        log = min(numbers) > 0 and max(numbers) / min(numbers) > 50
        return np.array([np.nan if value == "-" else value for value in values], dtype=float), None, log
    key = None if all(isinstance(value, list) for value in values) else str
    labels = list(dict.fromkeys(map(str, sorted(values, key=key))))
    return np.array([labels.index(str(value)) for value in values], dtype=float), labels, False


def _against(runs, metric, names):
    if not names:
        return ""
    n_rows = -(-len(names) // 3)
    figure = _figure(11, 3.2 * n_rows)
    all_axes = np.ravel(figure.subplots(n_rows, min(3, len(names)), squeeze=False))
    means = [run.scores(metric).mean() for run in runs]
    spread = [run.scores(metric).std() for run in runs]
    for axes, name in zip(all_axes, names, strict=False):
        places, labels, log = _places(runs, name)
        axes.errorbar(places, means, yerr=spread, fmt="o", color="#0072B2", ecolor="0.75", markersize=4)
        axes.set(xlabel=name, ylabel=metric)
        if log:
            axes.set_xscale("log")
        if labels is not None:
            axes.set_xticks(range(len(labels)), [label[:14] for label in labels])
    for axes in all_axes[len(names) :]:
        axes.set_axis_off()
    return _svg(figure)


def _axis(runs, name):
    """Places of a parameter's values from 0 to 1, NaN of those that are not set, and labels by their places."""
    places, labels, log = _places(runs, name)
    places = np.log(places) if log else places
    low, high = np.nanmin(places), np.nanmax(places)
    scaled = (places - low) / (high - low) if high > low else np.where(np.isnan(places), np.nan, 0.5)
    if labels is not None:
        return scaled, {i / max(1, len(labels) - 1): label for i, label in enumerate(labels)}
    low, high = (np.exp(bound) if log else bound for bound in (low, high))
    return scaled, {0: f"{low:.3g}", 1: f"{high:.3g}"} if high > low else {0.5: f"{low:.3g}"}


def _parallel(runs, metric, names):
    if not names or len(runs) < 2:
        return ""
    import matplotlib

    means = np.array([run.scores(metric).mean() for run in runs])
    shares = (means - means.min()) / (np.ptp(means) or 1)
    axes_of = [_axis(runs, name) for name in names]
    axes_of.append((shares, {0: f"{means.min():.4g}", 1: f"{means.max():.4g}"}))
    lines = np.array([places for places, _ in axes_of]).T
    figure = _figure(max(7, 1.8 * len(axes_of)), 3.8)
    axes = figure.add_subplot()
    colors = matplotlib.colormaps["viridis_r"]
    for line, share in reversed([*zip(lines, shares, strict=True)]):  # the best on top
        axes.plot(np.where(np.isnan(line), _UNSET, line), color=colors(share), linewidth=1 + share, alpha=0.8)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    for x, (places, labels) in enumerate(axes_of):
        axes.plot([x, x], [0, 1], color="0.6", linewidth=0.8)
        if np.isnan(places).any():
            labels = labels | {_UNSET: "not set"}
        for y, label in labels.items():
            axes.text(x, y, f" {label[:14]}", ha="left", va="center", fontsize=8, bbox=box)
    axes.set_xticks(range(len(axes_of)), [*names, metric])
    axes.set_yticks([])
    axes.set_xlim(-0.2, len(axes_of) - 0.5)
    axes.set_ylim(_UNSET - 0.1, 1.1)
    axes.spines[:].set_visible(False)
    return "<p>Each line is a run; the darker, the better.</p>" + _svg(figure)


def _curves(runs):
    names = names_of_curves(runs)
    if not names:
        return ""
    import matplotlib

    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, min(len(runs), _MOST)))
    figure = _figure(11, 4)
    for axes, name in zip(np.ravel(figure.subplots(1, len(names))), names, strict=True):
        for color, run in zip(colors, runs, strict=False):
            curves = [fold["curves"].get(name, []) for fold in run.state["folds"].values()]
            means = mean_curve(curves)
            axes.plot(range(1, len(means) + 1), means, color=color, linewidth=1.2, label=run.name)
        axes.set(xlabel="Epoch", ylabel=f"{name}, mean over the fits")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def _time(runs, metric):
    figure = _figure(7, 3.4)
    axes = figure.add_subplot()
    for run in runs:
        axes.plot(run.seconds, run.scores(metric).mean(), "o", color="#0072B2", markersize=4)
    axes.set(xlabel="Seconds of training", ylabel=metric)
    return _svg(figure)
