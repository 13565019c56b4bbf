"""Small random causal language models of transformers. At initializer_range 0.2 they use their positions."""

import os

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

SMALL = dict(
    vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
    initializer_range=0.2, max_position_embeddings=4096, pad_token_id=0, bos_token_id=1, eos_token_id=None,
)  # fmt: skip
FAMILIES = {
    "llama": dict(),
    "qwen2": dict(),
    "qwen3": dict(),
    "gemma3_text": dict(sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
}


def causal_lm(model_type: str, seed: int = 0, **fields):
    config = CONFIG_MAPPING[model_type](**SMALL | FAMILIES.get(model_type, {}) | fields)
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
