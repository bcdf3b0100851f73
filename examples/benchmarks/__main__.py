"""Run the benchmarks one after another, and write their output as pages.

    python examples/benchmarks                          all of them, for hours
    python examples/benchmarks patches convolution      some of them
    python examples/benchmarks --pages docs/benchmarks  and write pages

A page contains what one benchmark compares and finds, and a chart. The budgets of the
project, met or missed, are for its developers: they are listed in BUDGETS.md beside
this file.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _charts import CHARTS, draw_chart

HERE = Path(__file__).parent
BUDGET = re.compile(
    r"^- (?P<budget>.+ [≤≥] \S+): (?P<value>\S+), (?P<verdict>met|missed)$"
)
# Drawn by the benchmarks, with the option --save.
FIGURES = {"costs": "costs.png", "robustness": "robustness.svg"}
BUDGETS = HERE / "BUDGETS.md"
BUDGETS_HEAD = """# Budgets

What the project asks of itself, and the values of the last run of each benchmark with
`--pages`. A missed budget is a reason to look, not an error: machines differ, and the
times of one run compare only with each other.

| benchmark | budget | value | |
| --- | --- | ---: | --- |
"""


def benchmark_names():
    return [path.stem.removeprefix("bench_") for path in sorted(HERE.glob("bench_*"))]


def make_command(name, options):
    """Return the command line that runs a benchmark."""
    words = [sys.executable, "-u", str(HERE / f"bench_{name}.py")]
    if options.quick:
        words.append("--quick")
    elif options.pages and name in FIGURES:
        words += ["--save", str(options.pages / FIGURES[name])]
    return words


def run(name, options):
    """Run a benchmark, print its output, and return it; exit if it fails."""
    output = []
    with subprocess.Popen(
        make_command(name, options), stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            output.append(line)
    if process.returncode:
        raise SystemExit(f"bench_{name}.py ended with code {process.returncode}")
    return "".join(output)


def run_in_parallel(names, options):
    """Run quick benchmarks in parallel: their times are not meaningful."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # one processor for each

    def run_one(name):
        return subprocess.run(
            make_command(name, options),
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=True,
            env=environment,
        ).stdout

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, output in zip(names, pool.map(run_one, names), strict=True):
            print(f"\n=== {name}\n\n{output}", flush=True)


def make_page(name, output, seconds, figure):
    """Return the page of a benchmark: its question, its figure and its output."""
    doc = (HERE / f"bench_{name}.py").read_text(encoding="utf-8").split('"""')[1]
    title, _, text = doc.partition("\n\n")
    lines = output.strip().splitlines()
    body = "\n".join(line for line in lines if not BUDGET.match(line))
    body = re.sub(r"^# .*\n+", "", body)
    image = f"![{title}]({figure})\n\n" if figure else ""
    command = f"`python examples/benchmarks {name}` took {seconds / 60:.1f} minutes."
    return f"# {title}\n\n{text.strip()}\n\n{image}{command}\n\n{body}\n"


def draw_figure(name, output, folder):
    """Return the file of the figure of a page, which is drawn if it is a chart."""
    if name in FIGURES:
        return FIGURES[name]
    if name not in CHARTS:
        return None
    figure = f"{name}.svg"
    return figure if draw_chart(output, CHARTS[name], folder / figure) else None


def update_budgets(name, output):
    """Replace the rows of a benchmark in the table of budgets."""
    rows = {}
    if BUDGETS.exists():
        for line in BUDGETS.read_text(encoding="utf-8").splitlines():
            rows.setdefault(
                line.split("|")[1].strip() if "|" in line else "", []
            ).append(line)
    matches = filter(None, map(BUDGET.match, output.splitlines()))
    rows[name] = [
        f"| {name} | {' | '.join(match.group('budget', 'value', 'verdict'))} |"
        for match in matches
    ]
    table = [row for each in benchmark_names() for row in rows.get(each, [])]
    BUDGETS.write_text(BUDGETS_HEAD + "\n".join(table) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help=f"one or more of: {', '.join(benchmark_names())}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="use tiny data, to test that they run"
    )
    parser.add_argument("--pages", type=Path, help="folder to write pages to")
    options = parser.parse_args()
    if unknown := set(options.names) - set(benchmark_names()):
        parser.error(
            f"There is no benchmark {', '.join(sorted(unknown))}. Use one or more of: "
            f"{', '.join(benchmark_names())}."
        )
    names = options.names or benchmark_names()
    if options.quick:
        run_in_parallel(names, options)
        return
    for name in names:
        print(f"\n=== {name}\n", flush=True)
        start = time.perf_counter()
        output = run(name, options)
        if options.pages:
            figure = draw_figure(name, output, options.pages)
            text = make_page(name, output, time.perf_counter() - start, figure)
            (options.pages / f"{name}.md").write_text(text, encoding="utf-8")
            update_budgets(name, output)


if __name__ == "__main__":
    main()
