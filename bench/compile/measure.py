"""What a program of somebody else's costs to compile: processor seconds and memory, the best of several runs.

    python bench/compile/measure.py [--runs 3] [--compiler g++]

Without a precompiled header, at -O2, against the torch of the Python that runs this: by headers alone, and for a program that
links kvtransfer::compiled (or kvtransfer::model, which does) and so reads declarations alone. On a machine that is busy the same work
takes more processor time, up to twice as much: measure on one that is not.
"""

import argparse
import importlib.util
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODES = {"headers alone": [], "linked to kvtransfer::compiled": ["-DKVTRANSFER_COMPILED"]}
PROGRAMS = {
    "prefill, prepend, generate, move": ROOT / "examples/move_a_cache.cpp",
    "view, move, slice, concat, save, load": ROOT / "bench/compile/caches.cpp",
}


def torch_include() -> pathlib.Path:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise SystemExit("measure.py: expected a Python that has torch, got one without")
    return pathlib.Path(spec.origin).parent / "include"


def compiled_once(compiler: str, source: pathlib.Path, definitions: list[str]) -> tuple[float, float]:
    """Processor seconds, user and system, and gigabytes of one run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "-std=c++20", "-O2", *definitions, f"-I{ROOT / 'include'}", "-isystem", str(torch_include()),
                   f'-DKVT_EXAMPLES_DIR="{ROOT / "examples"}"', "-c", str(source), "-o", f"{folder}/program.o"]
        _, status, usage = os.wait4(subprocess.Popen(command).pid, 0)
    if status != 0:
        raise SystemExit(f"measure.py: {source}: expected {compiler} to compile it, got status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="of which the best counts (default 3)")
    parser.add_argument("--compiler", default="g++")
    arguments = parser.parse_args()
    for what, source in PROGRAMS.items():
        for mode, definitions in MODES.items():
            seconds, gigabytes = min(compiled_once(arguments.compiler, source, definitions) for _ in range(arguments.runs))
            print(f"{seconds:6.2f} s  {gigabytes:5.2f} GB  {source.relative_to(ROOT)}: {what}; {mode}", flush=True)


if __name__ == "__main__":
    main()
