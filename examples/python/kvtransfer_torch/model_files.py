"""What `from_pretrained` of transformers is to be called with for a model in a folder, or in a GGUF file."""

from importlib.util import find_spec
from pathlib import Path


def from_pretrained_arguments(path: Path) -> tuple[Path, dict]:
    """The folder, and what is given by name.

    A GGUF file needs two packages that transformers does not bring, and of which it names one only when it has begun.
    """
    if path.suffix != ".gguf":
        return path, {}
    missing = [name for name in ("gguf", "accelerate") if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"{path}: expected gguf and accelerate, with which transformers reads a GGUF file "
            f"(pip install './examples/python[gguf]'), got no {' and no '.join(missing)}"
        )
    return path.parent, {"gguf_file": path.name}
