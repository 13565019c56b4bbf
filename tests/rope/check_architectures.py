"""Compares the table of architectures with every causal language model of transformers.

For each entry of MODEL_FOR_CAUSAL_LM_MAPPING_NAMES a small model is built from the class's own defaults, (and, for those
that are named, in a few spellings of its rotary parameters) and asked how it rotates its keys (transformers_rotary.py); PROGRAM, build/release/bin/rope_of_config,
is asked the same of the same configuration. Lists what is missing from the table and what differs, and fails if anything does.

Run: python tests/rope/check_architectures.py PROGRAM [MODEL_TYPE ...]   (about three minutes for all)
"""

import json
import pathlib
import subprocess
import sys

import transformers_rotary
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

TABLE = pathlib.Path(__file__).resolve().parents[2] / "src/rope/architectures.json"
LENGTHS = [1, 300]
SMALL = dict(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)
LATENT = dict(num_key_value_heads=4, qk_rope_head_dim=8, kv_lora_rank=16)
SPELLINGS = {
    "plain": {},
    "linear": dict(rope_scaling=dict(rope_type="linear", factor=4.0), rope_theta=25000.0),
    "yarn": dict(rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=20000.0, truncate=None)),
    "dynamic": dict(rope_scaling=dict(type="dynamic", factor=2.0)),
    "half": dict(partial_rotary_factor=0.5),
}
# What a small model of one architecture needs, beyond what all do.
NEEDS = {
    "bamba": dict(attn_layer_indices=[1, 3]),
    "codegen": dict(n_embd=64, n_head=4, rotary_dim=8),
    "cohere_compass_text": dict(
        layer_types=["sliding_attention", "full_attention"] * 3,
        rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=1e4), full_attention=None),
    ),
    "deepseek_v2": dict(topk_method="greedy", first_k_dense_replace=6),
    "ernie4_5_moe": dict(moe_k=2),
    "gemma3n_text": dict(num_kv_shared_layers=0),
    "gptj": dict(n_embd=64, n_head=4, rotary_dim=8),
    "granitemoehybrid": dict(layer_types=["full_attention"] * 6, position_embedding_type="rope"),
    "hunyuan_v1_dense": dict(head_dim=16),
    "hunyuan_v1_moe": dict(head_dim=16),
    "jetmoe": dict(kv_channels=16),
    "lfm2": dict(layer_types=["conv", "full_attention"] * 3),
    "lfm2_moe": dict(layer_types=["conv", "full_attention"] * 3),
    "lfm3": dict(layer_types=["conv", "full_attention", "sliding_attention"] * 2),
    "longcat_flash": dict(num_key_value_heads=4, head_dim=8, qk_rope_head_dim=8),
    "ministral": dict(head_dim=16),
    "nemotron_h": dict(layers_block_type=["linear_attention", "moe", "full_attention", "mlp"]),
    "olmo_hybrid": dict(layer_types=["linear_attention", "full_attention"] * 3),
    "qwen4_exp_text": dict(
        indexer_n_heads=2, indexer_kv_heads=1, indexer_head_dim=16, indexer_budget=8, indexer_compress_ratio=2
    ),  # fmt: skip
    "zamba": dict(num_hidden_layers=12, attn_layer_period=3, attn_layer_offset=2),
    "zamba2": dict(layers_block_type=["linear_attention", "hybrid"] * 3, use_mem_rope=True),
    "zaya": dict(num_experts_per_tok=1),
}


def small_config(model_type, spelling):
    default = CONFIG_MAPPING[model_type]
    fields = getattr(default, "__dataclass_fields__", {})
    config = {"model_type": model_type}
    config |= {key: value for key, value in SMALL.items() if key in fields}
    if "kv_lora_rank" in fields:
        config |= {key: value for key, value in LATENT.items() if key in fields}
    elif isinstance(getattr(fields.get("head_dim"), "default", None), int):
        config["head_dim"] = 16
    config |= {key: 6 for key in ("num_hidden_layers", "n_layer", "num_layers") if key in fields}
    return config | NEEDS.get(model_type, {}) | spelling


def ask(program, config):
    line = json.dumps(dict(name="", config=config, lengths=LENGTHS))
    return json.loads(subprocess.run([program], input=line, capture_output=True, text=True).stdout)


def differences(ours, theirs):
    for mine, other in zip(ours, theirs):
        if len(mine["layers"]) != len(other["layers"]):
            yield f"{len(mine['layers'])} layers, not {len(other['layers'])}"
            return
        for index, (a, b) in enumerate(zip(mine["layers"], other["layers"])):
            at = f"length {mine['length']}, layer {index}"
            for key in ("rotates", "pairing", "rotary_dim"):
                if key in b and a[key] != b[key]:
                    yield f"{at}: {key} {a[key]}, not {b[key]}"
                    return
            if b["rotates"] and abs(a["attention_scaling"] - b["attention_scaling"]) > 1e-6:
                yield f"{at}: attention_scaling {a['attention_scaling']}, not {b['attention_scaling']}"
            if b["rotates"] and any(abs(p - q) > 3e-7 * abs(q) for p, q in zip(a["inv_freq"], b["inv_freq"])):
                yield f"{at}: inv_freq {a['inv_freq'][-1]} at the end, not {b['inv_freq'][-1]}"


def compare(program, model_type, name):
    """(agrees, what there is to say)"""
    config = small_config(model_type, SPELLINGS[name])
    ours = ask(program, config)
    try:
        theirs = transformers_rotary.read(config, LENGTHS)
    except Exception as refused:
        said = f"{type(refused).__name__}: {str(refused).splitlines()[0][:120]}"
        return "error" in ours or name != "plain", f"transformers can't: {said}; ours: {ours.get('error', 'reads it')[:120]}"
    if "error" in ours:
        return name != "plain", f"refused: {ours['error'][:200]}"
    found = list(differences(ours["lengths"], theirs))
    return not found, "; ".join(found[:3])


def main(program, *only):
    """Without names of model types: all, and for the sake of time only in the plain spelling."""
    table = json.loads(TABLE.read_text())["architectures"]
    failed = 0
    for model_type in only or MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        entry = table.get(model_type)
        if entry is None:
            failed += 1
            print(f"{model_type}: missing from the table")
        elif "refused" in entry or "text_type" in entry:
            print(f"{model_type}: {entry.get('refused') or 'as ' + entry['text_type']}")
        else:
            for name in SPELLINGS if only else ['plain']:
                agrees, said = compare(program, model_type, name)
                failed += not agrees
                if not agrees or (said and name == "plain"):
                    print(f"{model_type}, {name}: {'' if agrees else 'DIFFERS: '}{said}", flush=True)
    print(f"{failed} differences")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
