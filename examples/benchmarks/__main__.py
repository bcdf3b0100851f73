"""Run the benchmarks one after another, and write their output as pages.

    python examples/benchmarks                          all of them, for hours
    python examples/benchmarks patches convolution      some of them
    python examples/benchmarks --pages docs/benchmarks  and write pages

A page contains the output of one benchmark. The table in `index.md` lists the budgets
of all pages in the folder, including pages of earlier runs.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
BUDGET = re.compile(
    r"^- (?P<budget>.+ [≤≥] \S+): (?P<value>\S+), (?P<verdict>met|missed)$"
)
FIGURES = {"costs": "costs.png"}  # drawn with the option --save
BEGIN, END = "<!-- summary -->", "<!-- end of summary -->"


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


def make_page(name, output, seconds):
    """Return the page of a benchmark: its question, its command and its output."""
    doc = (HERE / f"bench_{name}.py").read_text(encoding="utf-8").split('"""')[1]
    title, _, text = doc.partition("\n\n")
    body = re.sub(r"^# .*\n+", "", output.strip())
    if name in FIGURES:
        body += f"\n\n![{title}]({FIGURES[name]})"
    return (
        f"# {title}\n\n{text.strip()}\n\n`python examples/benchmarks {name}` took "
        f"{seconds / 60:.1f} minutes.\n\n{body}\n"
    )


def make_summary(folder):
    """Return a table of the budgets of all pages in a folder."""
    rows = ["| benchmark | budget | value | |", "| --- | --- | ---: | --- |"]
    for name in benchmark_names():
        path = folder / f"{name}.md"
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                if match := BUDGET.match(line):
                    cells = " | ".join(match.group("budget", "value", "verdict"))
                    rows.append(f"| [{name}]({name}.md) | {cells} |")
    return "\n".join(rows)


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
            text = make_page(name, output, time.perf_counter() - start)
            (options.pages / f"{name}.md").write_text(text, encoding="utf-8")
    if options.pages:
        index = options.pages / "index.md"
        before, _, rest = index.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        text = f"{before}{BEGIN}\n\n{make_summary(options.pages)}\n\n{END}{after}"
        index.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
