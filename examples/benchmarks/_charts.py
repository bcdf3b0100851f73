"""Charts of the benchmark pages: the bars of one table each."""

import re
from dataclasses import dataclass

OURS, OTHERS = "#0072b2", "#b0b0b0"  # can be told apart without color vision, too
SHADES = ("#0072b2", "#56b4e9", "#e69f00", "#999999", "#d55e00", "#cc79a7", "#009e73")
NUMBER = re.compile(r"^[+−-]?[\d,]*\.?\d+(e[+-]?\d+)?")


@dataclass(frozen=True)
class Chart:
    """One chart: which cells of which table.

    Parameters
    ----------
    table : str
        How the title of the table begins.
    label : str
        Of the axis of numbers.
    columns : tuple of str, default=()
        The columns with the numbers. Empty stands for all columns.
    rows : str, default=""
        A regular expression that the names of the rows match.
    is_log : bool, default=False
        Whether the axis is logarithmic.
    start : float, default=None
        Of the axis. None stands for zero, or for a logarithmic axis.
    ours : str, default="skscn"
        A regular expression that the names of the rows of this project match.
    """

    table: str
    label: str
    columns: tuple = ()
    rows: str = ""
    is_log: bool = False
    start: float | None = None
    ours: str = "skscn"


CHARTS = {
    "anomalies": Chart("All tables", "mean AUROC", ("AUROC",), start=0.5),
    "convolution": Chart(
        "Convolution, ReLU and pool",
        "ms an image",
        ("skscn, 1 worker", "2 workers", "torch, 1 thread", "2 threads"),
        is_log=True,
    ),
    "denoising": Chart(
        "Gray images, noise of sigma = 25", "PSNR in dB", ("mean",), start=20
    ),
    "fine_tuning": Chart(
        "1,000",
        "accuracy after the last epoch, %",
        ("last epoch",),
        start=80,
        ours="sparse|fine-tuned",
    ),
    "images": Chart(
        "cifar10",
        "accuracy on CIFAR-10, %",
        ("accuracy, %",),
        start=30,
        ours=".*skscn|.* with ",
    ),
    "likelihood": Chart("Mean log-likelihood of a patch", "nats", ("test",)),
    "limited_codes": Chart("Coding with", "seconds", ("seconds",), is_log=True),
    "mixtures": Chart(
        "Mean log-likelihood of a patch", "nats of a test patch", ("test",), start=60
    ),
    "numerical_limits": Chart(
        "float32 against float64",
        "deviation of float32",
        ("level 0", "level 100,000"),
        is_log=True,
    ),
    "patches": Chart("Learning", "seconds to learn", ("seconds",), is_log=True),
    "scaling": Chart(
        "Files", "seconds to learn", ("fit",), ours="(?!.*IncrementalPCA)"
    ),
    "signals": Chart("Accuracy, %", "mean accuracy, %", rows="mean", start=70),
    "tables": Chart(
        "Accuracy, %, one setting", "mean accuracy, %", rows="mean$", start=85
    ),
}


def read_table(text, title):
    """Return the columns and rows of the first Markdown table under a title."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"## {title}"):
            break
    cells = []
    for line in lines:
        if line.startswith("|"):
            cells.append([cell.strip() for cell in line.strip("|").split("|")])
        elif cells or line.startswith("## "):
            break
    columns, _, *rows = cells or [[], []]
    return columns[1:], {row[0]: row[1:] for row in rows}


def read_bars(text, chart):
    """Return the numbers of a chart: {row: {column: number}}."""
    columns, rows = read_table(text, chart.table)
    bars: dict = {}
    for name, cells in rows.items():
        if not re.match(chart.rows, name):
            continue
        for column, cell in zip(columns, cells, strict=True):
            match = NUMBER.match(cell)
            if match and (not chart.columns or column in chart.columns):
                number = float(match.group().replace(",", "").replace("−", "-"))
                bars.setdefault(name, {})[column] = number
    return bars


def draw_chart(text, chart, path):
    """Draw the chart of the output of a benchmark; return whether it has numbers.

    Lengths of bars compare from zero. Points are drawn where the axis starts elsewhere.
    """
    bars = read_bars(text, chart)
    if not bars:
        return False
    import matplotlib.pyplot as plt

    if len(bars) == 1:  # the columns of one row
        (row,) = bars.values()
        bars = {column: {"": number} for column, number in row.items()}
    series = list(dict.fromkeys(column for row in bars.values() for column in row))
    names, has_legend = list(bars), len(series) > 1
    plt.rcParams |= {"svg.hashsalt": "skscn", "svg.fonttype": "none"}
    size = 7.5, 0.9 + 0.28 * len(names) * max(1, 0.6 * len(series))
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    for i, column in enumerate(series):
        offset = (i - (len(series) - 1) / 2) * 0.8 / len(series)
        places = [j + offset for j, name in enumerate(names) if column in bars[name]]
        numbers = [row[column] for row in bars.values() if column in row]
        colors = [OURS if re.match(chart.ours, name) else OTHERS for name in names]
        colors = SHADES[i] if has_legend else colors
        if chart.is_log or chart.start is not None:
            ax.scatter(numbers, places, c=colors, s=45, zorder=3, label=column)
        else:
            ax.barh(places, numbers, 0.74 / len(series), color=colors, label=column)
        for x, y in zip(numbers, places, strict=True):
            ax.annotate(
                f"{x:.4g}",
                (x, y),
                (8, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel=chart.label)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
    ax.margins(x=0.15)
    if chart.is_log:
        ax.set_xscale("log")
    elif chart.start is not None:
        ax.set_xlim(left=chart.start)
    ax.spines[["top", "right"]].set_visible(False)
    if has_legend:
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
