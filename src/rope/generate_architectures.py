"""Writes what is made from architectures.json, the one table of how each architecture rotates its keys:

  include/kvtransfer/rope/detail/builtin_architectures.hpp          the table that the library is compiled with
  examples/python/kvtransfer_torch/architectures.json               a copy that is installed with the Python package

Run: python src/rope/generate_architectures.py            after a change to the table
     python src/rope/generate_architectures.py --check    fails where one of the two is not what the table says
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "src/rope/architectures.json"
HEADER = ROOT / "include/kvtransfer/rope/detail/builtin_architectures.hpp"
COPY = ROOT / "examples/python/kvtransfer_torch/architectures.json"


def text(value):
    return json.dumps(value)


def number(value):
    return repr(value)


def flag(value):
    return "true" if value else "false"


def enumerator(kind):
    return lambda value: f"{kind}::{value}"


def document(value):
    return f'R"({json.dumps(value)})"'


def integers(value):
    return "{" + ", ".join(map(str, value)) + "}"


def names(value):
    return "{" + ", ".join(f"{{{text(a)}, {text(b)}}}" for a, b in value.items()) + "}"


def members(fields):
    """A converter for an object: `fields` are (key, C++ member, converter) in the order of the struct."""

    def convert(value):
        unknown = set(value) - {key for key, _, _ in fields}
        if unknown:
            raise SystemExit(f"{TABLE}: unknown fields {sorted(unknown)}")
        return "{" + ", ".join(f".{name} = {of(value[key])}" for key, name, of in fields if key in value) + "}"

    return convert


PATTERN = members(
    [
        ("period", "period", number),
        ("phase", "phase", number),
        ("lead", "lead", number),
        ("last", "last", flag),
        ("other", "other", text),
        ("period_key", "period_key", text),
    ]
)
BASES = members(
    [
        ("full_key", "full_key", text),
        ("full_theta", "full_theta", number),
        ("sliding_key", "sliding_key", text),
        ("sliding_theta", "sliding_theta", number),
        ("scales_both", "scales_both", flag),
    ]
)
ARCHITECTURE = members(
    [
        ("refused", "refused", text),
        ("text_type", "text_type", text),
        ("pairing", "pairs", enumerator("pairing")),
        ("theta", "theta", number),
        ("partial_rotary_factor", "partial_rotary_factor", number),
        ("head_dim", "head_dim", number),
        ("global_head_dim", "global_head_dim", number),
        ("head_multiple", "head_multiple", number),
        ("derives_head_dim", "derives_head_dim", flag),
        ("original_length", "original_length", number),
        ("theta_key", "theta_key", text),
        ("partial_key", "partial_key", text),
        ("width_key", "width_key", text),
        ("head_dim_key", "head_dim_key", text),
        ("rotary_dim", "rotary_dim", number),
        ("layers", "layers", enumerator("rotating_layers")),
        ("pattern", "pattern", PATTERN),
        ("layer_types_key", "layer_types_key", text),
        ("full_layers_key", "full_layers_key", text),
        ("layers_per_block", "layers_per_block", number),
        ("lists_layers", "lists_layers", flag),
        ("rotates_if_key", "rotates_if_key", text),
        ("rotates_if_value", "rotates_if_value", text),
        ("layer_theta_key", "layer_theta_key", text),
        ("by_layer_type", "by_layer_type", flag),
        ("null_is_no_rope", "null_is_no_rope", flag),
        ("default_parameters", "default_parameters", document),
        ("bases", "bases", lambda value: f"two_bases{BASES(value)}"),
        ("renamed_types", "renamed_types", names),
        ("ntk_alpha", "ntk_alpha", flag),
        ("mscale_by_length", "mscale_by_length", flag),
        ("latent", "latent", flag),
        ("qk_rope_head_dim", "qk_rope_head_dim", number),
        ("vllm_pairing", "vllm_pairs", enumerator("pairing")),
        ("mrope", "mrope", enumerator("mrope_layout")),
        ("mrope_sections", "mrope_sections", integers),
        ("rotates_backwards", "rotates_backwards", flag),
        ("norms_after_rotation", "norms_after_rotation", flag),
    ]
)

TEMPLATE = """// Generated from src/rope/architectures.json by src/rope/generate_architectures.py: edit the table, not this file.
// clang-format off
#pragma once

#include "kvtransfer/rope/architecture.hpp"

namespace kvtransfer::rope {{

/// Every architecture of `AutoModelForCausalLM` and how it rotates its keys, or why they can't be moved.
/// Source: {written_for}
inline const architecture_table& builtin_architectures() {{
  static const architecture_table table = {{
{entries}
  }};
  return table;
}}

}}  // namespace kvtransfer::rope
"""


def outputs():
    table = json.loads(TABLE.read_text())
    entries = "\n".join(f"      {{{text(name)}, {ARCHITECTURE(table['architectures'][name])}}}," for name in sorted(table["architectures"]))
    return {HEADER: TEMPLATE.format(written_for=table["written_for"], entries=entries), COPY: TABLE.read_text()}


def main():
    stale = []
    for path, content in outputs().items():
        if "--check" not in sys.argv[1:]:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        raise SystemExit(f"not what src/rope/architectures.json says: {', '.join(stale)}; run {pathlib.Path(__file__).name}")


if __name__ == "__main__":
    main()
