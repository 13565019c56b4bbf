"""How each architecture rotates its keys: the table that the library itself is generated from."""

import json
from importlib import resources

_TABLE = json.loads(resources.files(__package__).joinpath("architectures.json").read_text())["architectures"]


def conventions_of(model_type: str) -> dict:
    """The table's entry for `model_type`: fields where it differs from Llama.

    Raises ValueError for a model that is not in it, with the list of those that are, or whose keys can't be moved.
    """
    entry = _TABLE.get(model_type)
    if entry is None:
        known = ", ".join(sorted(name for name, each in _TABLE.items() if "refused" not in each))
        raise ValueError(f"rotary_of: model_type: expected one of {known} (or conventions=), got {model_type!r}")
    if "refused" in entry:
        raise ValueError(f"rotary_of: {model_type}: no rotary embedding that could be moved: {entry['refused']}")
    return entry
