"""Change the code of `skscn/_core` in one place at a time, and see whether tests fail.

    python .ci/mutants.py --number 300 --seed 0 | tee mutants.log

Each line says whether a mutant was killed by a test, survived, or is listed in
`.ci/equivalent_mutants.txt`, because no test can tell it from the original. Survivors
ask for a test, which is run with `--again mutants.log`.

All modules and tests are imported once. Each mutant is a forked process, in which the
code of one function or the value of one constant is replaced. Only tests that call this
function run: first one test of each kind, the short ones first. What modules computed
while they were imported keeps its value, and attributes of classes are not mutated.
"""

import argparse
import ast
import copy
import gc
import os
import pickle
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / ".ci" / "equivalent_mutants.txt"
TESTS = ["tests/core", "tests/coders"]
SLOWDOWN, MIN_SECONDS = 5, 5  # of the processor; a test that takes longer fails
N_KILLERS = 8  # tests that killed other mutants of the file, which run first
MAX_BYTES = 8 * 2**30  # of the address space of a mutant
ONLY_FASTER = {"copy", "check_finite"}  # arguments that change no result

COMPARISONS = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
NAMES = {
    "min": "max",
    "minimum": "maximum",
    "zeros": "ones",
    "zeros_like": "ones_like",
    "any": "all",
    "argmin": "argmax",
    "floor": "ceil",
    "exp": "expm1",
    "log": "log1p",
}
NAMES |= {value: key for key, value in NAMES.items()}


@dataclass
class Mutant:
    """One change: its file, the function or constant that it is in, and its code."""

    path: Path
    owner: str
    first_line: int  # of the function with its decorators; 0 for a constant
    line: int
    change: str
    code: CodeType  # of the whole module

    @property
    def key(self):
        """The mutant in words, which do not depend on lines before it."""
        return f"{self.path.relative_to(ROOT)} | {self.owner} | {self.change}"

    def first_lines(self):
        """Return the first line of the function, or of those that read the constant."""
        if self.first_line:
            return {self.first_line}
        return {
            code.co_firstlineno
            for code in code_objects(self.code)
            if self.owner in code.co_names
        }


def replacements(node):
    """Yield nodes that may stand in place of a node."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                new = copy.deepcopy(node)
                new.ops[i] = other()
                yield new
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        if type(node.op) in OPERATORS:
            new = copy.deepcopy(node)
            new.op = OPERATORS[type(node.op)]()
            yield new
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
        elif isinstance(node.value, float):
            yield ast.Constant(2 * node.value if node.value else 1.0)
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield ast.Name(NAMES[node.id], node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr], node.ctx)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.Constant):
            new = copy.deepcopy(node)
            new.test = ast.UnaryOp(ast.Not(), new.test)
            yield new
    elif isinstance(node, ast.Break | ast.Continue):
        yield ast.Continue() if isinstance(node, ast.Break) else ast.Break()
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    is_stored = isinstance(node, ast.Assign) and not isinstance(
        node.targets[0], ast.Name | ast.Tuple
    )
    if is_call or is_stored or isinstance(node, ast.AugAssign | ast.Raise):
        yield ast.Pass()


@dataclass
class Place:
    """The statement around a node, and the function or constant that it belongs to."""

    owner: str
    first_line: int
    statement: ast.stmt | None


def nodes(parent, place):
    """Yield every node that runs when a function is called, or that is a constant.

    Each comes with its parent, its position in it, and its `Place`.
    """
    for field, value in ast.iter_fields(parent):
        if isinstance(parent, ast.FunctionDef) and field != "body":
            continue  # defaults, decorators and annotations
        if field == "annotation" or isinstance(value, str):
            continue
        if isinstance(parent, ast.keyword) and parent.arg in ONLY_FASTER:
            continue
        children = value if isinstance(value, list) else [value]
        for i, child in enumerate(children):
            if not isinstance(child, ast.AST) or is_docstring(child):
                continue
            inner = place
            if isinstance(child, ast.stmt):
                inner = Place(place.owner, place.first_line, child)
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                inner.owner = f"{place.owner}.{child.name}".lstrip(".")
            if isinstance(child, ast.FunctionDef) and not place.first_line:
                decorators = [each.lineno for each in child.decorator_list]
                inner.first_line = min([child.lineno, *decorators])
            is_module = isinstance(parent, ast.Module)
            if is_module and isinstance(child, ast.Assign):
                inner.owner = ast.unparse(child.targets[0])
            is_constant = inner.owner.isupper() and inner.owner.isidentifier()
            if inner.first_line or is_constant:
                yield child, parent, field, i, inner
            yield from nodes(child, inner)


def is_docstring(node):
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant and isinstance(node.value.value, str)


def put(parent, field, i, child):
    value = getattr(parent, field)
    if isinstance(value, list):
        value[i] = child
    else:
        setattr(parent, field, child)


def mutants_of(path):
    """Return every mutant of a file."""
    tree = ast.parse(path.read_text())
    found = []
    for node, parent, field, i, place in list(nodes(tree, Place("", 0, None))):
        before = ast.unparse(place.statement)
        for new in replacements(node):
            ast.fix_missing_locations(ast.copy_location(new, node))
            put(parent, field, i, new)
            is_statement = isinstance(node, ast.stmt)
            after = ast.unparse(new if is_statement else place.statement)
            lines = zip(before.split("\n"), after.split("\n"), strict=False)
            change = next((f"{a} -> {b}" for a, b in lines if a != b), None)
            if change:  # some constants are printed in the same way
                code = compile(tree, str(path), "exec")
                found.append(
                    Mutant(
                        path, place.owner, place.first_line, node.lineno, change, code
                    )
                )
            put(parent, field, i, node)
    return found


def code_objects(code):
    """Yield a code object and all that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


def install(mutant):
    """Replace the code of a function, or the value of a constant, in this process."""
    name = str(mutant.path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    if mutant.first_line == 0:
        namespace = {"__name__": name, "__file__": str(mutant.path)}
        exec(mutant.code, namespace)  # its classes are not used
        former = getattr(sys.modules[name], mutant.owner)
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", {}).get(mutant.owner) is former:
                setattr(module, mutant.owner, namespace[mutant.owner])
        return
    codes = {
        (code.co_firstlineno, code.co_name): code for code in code_objects(mutant.code)
    }
    for function in gc.get_objects():
        if isinstance(function, FunctionType):
            code = function.__code__
            if code.co_filename == str(mutant.path):
                new = codes.get((code.co_firstlineno, code.co_name))
                if new is not None and code.co_firstlineno == mutant.first_line:
                    function.__code__ = new


class MutationRun:
    """A pytest plugin that runs tests once for each mutant, in place of all tests."""

    def __init__(self, mutants, equivalent, budget, cache):
        self.mutants, self.equivalent, self.budget = mutants, equivalent, budget
        self.cache = cache
        self.seconds, self.calls = {}, {}
        self.killers = defaultdict(Counter)
        self.checked: set = set()

    def pytest_runtestloop(self, session):
        """Measure the tests, and try the mutants, after all tests are collected."""
        self.session = session
        items = {item.nodeid: item for item in session.items}
        if self.cache and self.cache.exists():
            self.seconds, self.calls = pickle.loads(self.cache.read_bytes())
        new = {
            nodeid: item for nodeid, item in items.items() if nodeid not in self.calls
        }
        seconds, calls, failed = in_fork(lambda: self.measure(new))
        self.seconds |= seconds
        self.calls |= calls
        if failed:
            print(f"The unchanged code fails {failed}")
            return True
        if self.cache:
            self.cache.write_bytes(pickle.dumps((self.seconds, self.calls)))
        print(f"{len(items)} tests", flush=True)
        counts = dict.fromkeys(["killed", "equivalent", "survived", "not called"], 0)
        for i, mutant in enumerate(self.mutants):
            start, test = time.perf_counter(), ""
            verdict = "equivalent"
            if mutant.key not in self.equivalent:
                verdict, test = self.judge(mutant, items)
            counts[verdict] += 1
            seconds = time.perf_counter() - start
            print(f"{verdict:10} {i:4} {seconds:5.1f} s line {mutant.line} | {test}")
            print(f"    {mutant.key}", flush=True)
        killable = counts["killed"] + counts["survived"]
        share = counts["killed"] / max(killable, 1)
        print(counts, f"{share:.1%} of the mutants that are not equivalent were killed")
        return True

    def measure(self, items):
        """Run all tests; return their seconds, the functions they call, and a failure.

        Constants belong to every test.
        """
        seconds, calls, failed = {}, {}, ""
        for nodeid, item in items.items():
            called = calls[nodeid] = set()

            def trace(frame, event, argument, called=called):
                code = frame.f_code
                called.add((code.co_filename, code.co_firstlineno))

            start = time.process_time()
            threading.settrace(trace)
            sys.settrace(trace)
            run(item)
            sys.settrace(None)
            threading.settrace(None)
            seconds[nodeid] = time.process_time() - start
            calls[nodeid] = {call for call in called if "_core" in call[0]}
            if self.session.testsfailed:
                failed = nodeid
                break
        return seconds, calls, failed

    def judge(self, mutant, items):
        """Return whether tests kill a mutant, and which one does."""
        places = {(str(mutant.path), line) for line in mutant.first_lines()}
        chosen = [nodeid for nodeid in items if places & self.calls[nodeid]]
        if not chosen:
            return "not called", ""
        report, report_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(report)
            silence()
            code = 1
            try:
                limit = resource.getrlimit(resource.RLIMIT_AS)[1]
                resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, limit))
                install(mutant)
                left = self.budget
                for nodeid in self.ordered(chosen, mutant):
                    left -= self.seconds[nodeid]
                    if left < 0:
                        break
                    os.write(report_end, f"{nodeid}\n".encode())
                    limit = MIN_SECONDS + SLOWDOWN * self.seconds[nodeid]
                    signal.setitimer(signal.ITIMER_PROF, limit)
                    run(items[nodeid])
                    if self.session.testsfailed:
                        break
                code = int(bool(self.session.testsfailed))
            finally:
                os._exit(code)
        os.close(report_end)
        with os.fdopen(report) as lines:
            tests = lines.read().split("\n")[:-1]
        killed = os.waitpid(pid, 0)[1] != 0
        last = tests[-1] if tests else ""
        if killed and last:
            self.check_passes(items[last])
            self.killers[mutant.path][last] += 1
        return ("killed", last) if killed else ("survived", f"{len(tests)} tests")

    def check_passes(self, item):
        """Raise where a test also fails the unchanged code, which the cache hides."""
        if item.nodeid in self.checked:
            return
        self.checked.add(item.nodeid)

        def n_failed():
            run(item)
            return self.session.testsfailed

        if in_fork(n_failed):
            raise RuntimeError(f"The unchanged code fails {item.nodeid}")

    def ordered(self, nodeids, mutant):
        """Return the tests that kill most mutants of the file first.

        Then follows one test of each test function, those of the module first.
        """
        by_function = {}
        for nodeid in sorted(nodeids, key=self.seconds.get):
            by_function.setdefault(nodeid.partition("[")[0], []).append(nodeid)
        ranks = {
            nodeid: (
                rank,
                f"test_{mutant.path.stem}" not in nodeid,
                self.cost(nodeid),
                i,
            )
            for i, group in enumerate(by_function.values())
            for rank, nodeid in enumerate(group)
        }
        killers = self.killers[mutant.path].most_common()
        first = [nodeid for nodeid, _ in killers if nodeid in ranks][:N_KILLERS]
        others = sorted(ranks, key=ranks.get)
        return list(dict.fromkeys(first + others))

    def cost(self, nodeid):
        """Return the seconds of a test times the functions that it calls.

        A test of few functions is the more likely to test one of them closely.
        """
        return self.seconds[nodeid] * len(self.calls[nodeid])


def run(item):
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def silence():
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def in_fork(function):
    """Return the result of a function that runs in a process of its own."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        silence()
        try:
            with os.fdopen(sink, "wb") as file:
                pickle.dump(function(), file)
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        result = pickle.load(file)
    os.waitpid(pid, 0)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="all of _core by default")
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--skip", type=int, default=0, help="mutants tried before")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--budget", type=float, default=60, help="seconds of tests for each mutant"
    )
    parser.add_argument("--cache", type=Path, help="of the functions that tests call")
    parser.add_argument("--again", type=Path, help="output whose survivors to try")
    arguments = parser.parse_args()
    files = [file.resolve() for file in arguments.files]
    files = files or sorted(ROOT.glob("skscn/_core/*.py"))
    mutants = [mutant for path in files for mutant in mutants_of(path)]
    if arguments.again:
        lines = arguments.again.read_text().split("\n")
        pairs = pairwise(lines)
        survivors = {key.strip() for line, key in pairs if line.startswith("survived")}
        chosen = [mutant for mutant in mutants if mutant.key in survivors]
    else:
        random.Random(arguments.seed).shuffle(mutants)
        chosen = mutants[: arguments.number]
    chosen = chosen[arguments.skip :]
    print(f"{len(chosen)} of {len(mutants)} mutants, seed {arguments.seed}", flush=True)
    equivalent = set()
    if EQUIVALENT.exists():
        lines = EQUIVALENT.read_text().split("\n")
        equivalent = {line for line in lines if line.startswith("skscn/")}
    # One thread, which a forked process keeps.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import pytest

    plugin = MutationRun(chosen, equivalent, arguments.budget, arguments.cache)
    options = ["-q", "-s", "-p", "no:cacheprovider"]
    options += ["-o", "addopts=--import-mode=importlib"]
    return pytest.main([*options, *TESTS], plugins=[plugin])


if __name__ == "__main__":
    sys.exit(main())
