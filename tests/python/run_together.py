"""Runs test scripts one after the other: run_together.py SCRIPT [ARGUMENTS] [, SCRIPT [ARGUMENTS] ...]

Each has a process of its own, forked from this one, which has imported what takes seconds to import and done nothing with it.
A script that fails fails all; those that were skipped are named, and when all were this ends as skipped itself.
"""

import importlib.util
import os
import runpy
import sys
import time
import traceback
from pathlib import Path

import torch  # noqa: F401  for the scripts

from support import SKIPPED

if importlib.util.find_spec("transformers") is not None:
    import transformers

    transformers.DynamicCache, transformers.LlamaForCausalLM  # noqa: B018  which imports the modules that have them


def ended(command: list[str]) -> int:
    """What `python COMMAND` would end with."""
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as exit:
        if exit.code is None or isinstance(exit.code, int):
            return exit.code or 0
        print(exit.code, file=sys.stderr)
        return 1
    except BaseException:  # whatever it is has to be shown, and the process has to end here
        traceback.print_exc()
        return 1
    return 0


def run(command: list[str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = ended(command)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(arguments: list[str]) -> int:
    commands: list[list[str]] = [[]]
    for argument in arguments:
        if argument == ",":
            commands.append([])
        else:
            commands[-1].append(argument)
    codes = []
    for command in commands:
        begun = time.monotonic()
        codes.append(run(command))
        said = {0: "passed", SKIPPED: "skipped"}.get(codes[-1], f"FAILED with {codes[-1]}")
        name = " ".join([Path(command[0]).name, *command[1:]])
        print(f"{name}: {said}, {time.monotonic() - begun:.1f} s", flush=True)
    if any(code not in (0, SKIPPED) for code in codes):
        return 1
    return SKIPPED if all(code == SKIPPED for code in codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
