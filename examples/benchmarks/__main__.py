"""Run the benchmarks one after another, and make pages of what they print.

    python examples/benchmarks                          all of them, for hours
    python examples/benchmarks patches convolution      some of them
    python examples/benchmarks --pages docs/benchmarks  and write pages

A page holds what its benchmark printed, and `index.md` is given every budget of every
page that is there, those of earlier runs too.
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
    r"^- (?P<what>.+ [≤≥] \S+): (?P<found>\S+), (?P<verdict>met|missed)$"
)
PICTURES = {"costs": "costs.png"}  # what a benchmark draws with --save
BEGIN, END = "<!-- summary -->", "<!-- end of summary -->"


def names():
    return [path.stem.removeprefix("bench_") for path in sorted(HERE.glob("bench_*"))]


def command(name, options):
    """Return how a benchmark is called."""
    words = [sys.executable, "-u", str(HERE / f"bench_{name}.py")]
    if options.quick:
        words.append("--quick")
    elif options.pages and name in PICTURES:
        words += ["--save", str(options.pages / PICTURES[name])]
    return words


def run(name, options):
    """Run a benchmark, show what it prints, and return it; raise where it fails."""
    printed = []
    with subprocess.Popen(
        command(name, options), stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            printed.append(line)
    if process.returncode:
        raise SystemExit(f"bench_{name}.py ended with code {process.returncode}")
    return "".join(printed)


def run_all_quickly(names, options):
    """Run benchmarks side by side, since their figures mean nothing."""

    def one(name):
        words = command(name, options)
        return subprocess.run(
            words, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True
        ).stdout

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, printed in zip(names, pool.map(one, names), strict=True):
            print(f"\n=== {name}\n\n{printed}", flush=True)


def page(name, printed, seconds):
    """Return the page of a benchmark: its question, its command, what it printed."""
    doc = (HERE / f"bench_{name}.py").read_text(encoding="utf-8").split('"""')[1]
    title, _, more = doc.partition("\n\n")
    body = re.sub(r"^# .*\n+", "", printed.strip())
    if name in PICTURES:
        body += f"\n\n![{title}]({PICTURES[name]})"
    return (
        f"# {title}\n\n{more.strip()}\n\n`python examples/benchmarks {name}` took "
        f"{seconds / 60:.1f} minutes.\n\n{body}\n"
    )


def summary(folder):
    """Return a table of the budgets of all pages of a folder."""
    rows = ["| benchmark | budget | found | |", "| --- | --- | ---: | --- |"]
    for name in names():
        path = folder / f"{name}.md"
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                if match := BUDGET.match(line):
                    what, found, verdict = match.group("what", "found", "verdict")
                    rows.append(
                        f"| [{name}]({name}.md) | {what} | {found} | {verdict} |"
                    )
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="tiny: do they run?")
    parser.add_argument("--pages", type=Path, help="folder to write pages to")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; of: {names()}")
    chosen = options.names or names()
    if options.quick:
        run_all_quickly(chosen, options)
        return
    for name in chosen:
        print(f"\n=== {name}\n", flush=True)
        start = time.perf_counter()
        printed = run(name, options)
        if options.pages:
            text = page(name, printed, time.perf_counter() - start)
            (options.pages / f"{name}.md").write_text(text, encoding="utf-8")
    if options.pages:
        index = options.pages / "index.md"
        before, _, rest = index.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        text = f"{before}{BEGIN}\n\n{summary(options.pages)}\n\n{END}{after}"
        index.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
