"""Shared by all benchmarks: options, timing, tables, budgets and environment."""

import argparse
import multiprocessing
import os
import platform
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import ThreadpoolController

import skscn

MIN_SECONDS = 0.1  # of one round: a faster method runs several times
PAUSE_SECONDS = 0.05  # after which idle BLAS threads no longer use a processor
NOT_INSTALLED = "not installed (pip install skscn[bench])"


def make_parser(docstring, *, repeats=None):
    """Return a parser with the options --quick and, with a default, --repeats."""
    parser = argparse.ArgumentParser(description=docstring.partition("\n\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="use tiny data, to test that it runs"
    )
    if repeats is not None:
        text = f"number of rounds whose median is printed (default: {repeats})"
        parser.add_argument("--repeats", type=int, default=repeats, help=text)
    return parser


def import_optional(name):
    """Return a package, or None if it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


@dataclass(frozen=True)
class Method:
    """A function without arguments to time; None if its package is not installed."""

    name: str
    run: Callable | None
    threads: int = 1  # of BLAS
    row_fraction: float = 1.0  # of all rows; the time is scaled to all of them


def time_methods(methods, repeats):
    """Run the methods in turn, `repeats` rounds; return median seconds and results.

    `repeats` of 0 runs every method once, however short it is: for --quick.
    """
    blas = ThreadpoolController()
    methods = [m for m in methods if m.run is not None]
    seconds, results = {m.name: [] for m in methods}, {}
    for _ in range(max(repeats, 1)):
        for m in methods:
            total, min_seconds = 0.0, MIN_SECONDS if repeats else 1e-9
            time.sleep(PAUSE_SECONDS)
            with blas.limit(limits=m.threads, user_api="blas"):
                while total < min_seconds:
                    results[m.name], duration = timed(m.run)
                    seconds[m.name].append(duration)
                    total += duration
    return {m.name: median(seconds[m.name]) / m.row_fraction for m in methods}, results


def timed(run, *arguments):
    """Return the result of a call and its duration in seconds."""
    start = time.perf_counter()
    result = run(*arguments)
    return result, time.perf_counter() - start


def one_process(quick):
    """Return a pool of one process: a new one for every call, but with --quick.

    A new process has a peak memory of its own; to start it takes seconds.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, max_tasks_per_child=None if quick else 1)


def peak_memory():
    """Return the largest memory of this process in megabytes; NaN if not on Linux.

    Linux counts it for the process. `getrusage` would also count the memory that the
    parent process had before.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return np.nan


def reset_peak_memory():
    """Let `peak_memory` start again from the present memory, where Linux allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def print_table(title, columns, rows):
    """Print rows as Markdown; a row of one cell is a package that is not installed."""
    rows = [row if len(row) > 1 else [*row, NOT_INSTALLED] for row in rows]
    rows = [[*row, *[""] * (len(columns) - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print(f"\n## {title}\n")
    for first, *others in (columns, rules, *rows):
        cells = [cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)]
        print("| " + " | ".join([first.ljust(widths[0]), *cells]) + " |")
    print()


def print_note(text):
    """Print a paragraph."""
    print(f"\n{textwrap.fill(text, 88)}\n")


def print_at_least(limit, value, quantity):
    """Print whether a value meets its budget; NaN is a package not installed."""
    verdict = f"{value:.3g}, {'met' if value >= limit else 'missed'}"
    print(f"- {quantity} ≥ {limit:g}: {NOT_INSTALLED if np.isnan(value) else verdict}")


def print_at_most(limit, value, quantity):
    """Print whether a value meets its budget; NaN is a package not installed."""
    verdict = f"{value:.3g}, {'met' if value <= limit else 'missed'}"
    print(f"- {quantity} ≤ {limit:g}: {NOT_INSTALLED if np.isnan(value) else verdict}")


def print_environment(packages):
    """Print the processor, the versions of packages, and the threads of BLAS."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line for line in lines if line.startswith("model name")]
        model = models[0].split(":")[1].strip() if models else model
    print(f"- {model}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"- skscn {skscn.__version__}")
    for name in packages:
        try:
            print(f"- {name} {version(name)}")
        except PackageNotFoundError:
            print(f"- {name} {NOT_INSTALLED}")
    for library in ThreadpoolController().select(user_api="blas").info():
        name = Path(library["filepath"]).name
        threads = library["num_threads"]
        print(f"- {library['internal_api']} {library['version']}, {threads=} ({name})")
    print()
