"""Where the tests find what they test, and how they say that they were skipped."""

import importlib.util
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SKIPPED = 77  # what ctest reads as "skipped"

sys.path[:0] = [str(CHECKOUT / "examples" / "python"), str(CHECKOUT / "tests" / "rope")]


def skip_without(*modules: str) -> None:
    """Ends the program as skipped unless all of `modules` can be imported."""
    missing = [name for name in modules if not _is_installed(name)]
    if missing:
        print(f"skipped: no {', '.join(missing)} in {sys.executable}")
        sys.exit(SKIPPED)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that `name` is in
        return False
