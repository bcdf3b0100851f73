"""What the benchmarks share: interleaved timing, tables, budgets and the machine."""

import os
import platform
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import ThreadpoolController

import skscn

BRIEF = 0.1  # seconds: what is faster runs several times a round
REST = 0.05  # seconds in which threads that wait for more work of BLAS fall asleep
MISSING = "not installed (pip install skscn[bench])"


def optional(name):
    """Return a package, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


@dataclass(frozen=True)
class Contender:
    """Something to time, without arguments; None is a package that is not installed."""

    name: str
    run: Callable | None
    threads: int = 1  # of BLAS
    share: float = 1.0  # of the rows that it gets: its time is scaled to all of them


def measure(contenders, repeats):
    """Run all in turn, `repeats` rounds; return median seconds and results by name."""
    blas = ThreadpoolController()
    contenders = [c for c in contenders if c.run is not None]
    seconds, results = {c.name: [] for c in contenders}, {}
    for _ in range(repeats):
        for c in contenders:
            spent = 0.0
            time.sleep(REST)
            with blas.limit(limits=c.threads, user_api="blas"):
                while spent < BRIEF:
                    start = time.perf_counter()
                    results[c.name] = c.run()
                    seconds[c.name].append(time.perf_counter() - start)
                    spent += seconds[c.name][-1]
    return {c.name: median(seconds[c.name]) / c.share for c in contenders}, results


def peak_memory():
    """Return the most megabytes that this process ever had, or NaN.

    Linux' own count for the process: `getrusage` counts what the process that started
    it had before, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return np.nan


def forget_peak():
    """Let `peak_memory` begin anew from what is held now, where Linux allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def table(title, columns, rows):
    """Print rows of cells as Markdown; a row of one cell is a package not installed."""
    rows = [row if len(row) > 1 else [*row, MISSING] for row in rows]
    rows = [[*row, *[""] * (len(columns) - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print(f"\n## {title}\n")
    for first, *others in (columns, rules, *rows):
        cells = [cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)]
        print("| " + " | ".join([first.ljust(widths[0]), *cells]) + " |")
    print()


def note(text):
    """Print a paragraph."""
    print(textwrap.fill(text, 88) + "\n")


def at_least(limit, found, what):
    """Print whether a figure keeps its budget; NaN is a package not installed."""
    verdict = f"{found:.3g}, {'met' if found >= limit else 'missed'}"
    print(f"- {what} ≥ {limit:g}: {MISSING if np.isnan(found) else verdict}")


def at_most(limit, found, what):
    """Print whether a figure keeps its budget; NaN is a package not installed."""
    verdict = f"{found:.3g}, {'met' if found <= limit else 'missed'}"
    print(f"- {what} ≤ {limit:g}: {MISSING if np.isnan(found) else verdict}")


def print_machine(packages):
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
            print(f"- {name} {MISSING}")
    for library in ThreadpoolController().select(user_api="blas").info():
        name = Path(library["filepath"]).name
        threads = library["num_threads"]
        print(f"- {library['internal_api']} {library['version']}, {threads=} ({name})")
    print()
