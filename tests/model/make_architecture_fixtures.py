"""Makes tests/model/fixtures/architectures: a small random folder of each architecture, and what transformers computes.

Run from anywhere with a Python that has torch, transformers and safetensors:

    .venv/bin/python tests/model/make_architecture_fixtures.py [NAME ...]

A folder is what make_fixtures.py describes, with 40 greedy tokens, and beside

    moved                   [1]          a distance: source and target both stand that much further back
    moved.logits            [Q, vocab]   the target's logits
    moved.greedy            [T]
    beyond.ids              [L]          a text longer than all windows, and than the length that LongRoPE changes at
    beyond.logits           [L, vocab]

Texts are longer than the windows (6 to 8 tokens), so that windows bite in the prompt, the source, the batch and what is
generated. Weights lie in fp16; expected values are computed in fp32 from what the folder holds.
"""

import json
import pathlib
import shutil
import sys

import make_fixtures
import safetensors.torch
import torch
import transformers

FIXTURES = make_fixtures.FIXTURES / "architectures"
MOVED = 9
LONG = 72

make_fixtures.NEW_TOKENS = 40
make_fixtures.CHANGED = 5
make_fixtures.FIXTURES = FIXTURES

SIZES = dict(vocab_size=89, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.25, bos_token_id=1, eos_token_id=2,
             pad_token_id=0)  # fmt: skip
PLAIN = {"rope_type": "default", "rope_theta": 1e4}
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75, "short_factor": [1.0, 1.1, 1.3],
            "long_factor": [1.2, 2.5, 4.0]}  # fmt: skip
GEMMA3 = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
          "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}}  # fmt: skip


def as_saved(config):
    return config


def as_transformers_4(config):
    """The rotary parameters and the dtype as transformers 4 wrote them."""
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = None
    config["torch_dtype"] = config.pop("dtype")
    return config


def gemma3_as_published(config):
    """Gemma 3's own spelling: two bases, a period, no list of layers."""
    rope = config.pop("rope_parameters")
    scaling = dict(rope["full_attention"])
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = scaling
    config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
    del config["layer_types"]
    config["sliding_window_pattern"] = 3
    config["cache_implementation"] = "hybrid"
    config["torch_dtype"] = config.pop("dtype")
    return config


def phi3_as_published(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    rope["type"] = rope.pop("rope_type")
    rope.pop("original_max_position_embeddings", None)
    config["rope_scaling"] = rope
    config["torch_dtype"] = config.pop("dtype")
    return config


def text_config(**changes):
    return transformers.Gemma3TextConfig(**SIZES | dict(
        num_hidden_layers=4, head_dim=16, query_pre_attn_scalar=20, sliding_window=7, rope_parameters=GEMMA3,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]) | changes)  # fmt: skip


CONFIGS = {
    "mistral": (transformers.MistralConfig(**SIZES, sliding_window=6, rope_parameters=PLAIN), as_transformers_4),
    "qwen2": (transformers.Qwen2Config(**SIZES | {"num_hidden_layers": 3}, use_sliding_window=True, sliding_window=8,
                                       max_window_layers=1, rope_parameters=PLAIN, tie_word_embeddings=True),
              as_transformers_4),
    "qwen3": (transformers.Qwen3Config(**SIZES, head_dim=12, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
              as_saved),
    "phi3": (transformers.Phi3Config(**SIZES, sliding_window=8, original_max_position_embeddings=64, rope_parameters=LONGROPE),
             phi3_as_published),
    "gemma2": (transformers.Gemma2Config(**SIZES, head_dim=16, query_pre_attn_scalar=24, sliding_window=6,
                                         attn_logit_softcapping=5.0, final_logit_softcapping=12.0, rope_parameters=PLAIN),
               as_transformers_4),
    "gemma3": (text_config(), gemma3_as_published),
    "gemma3-with-images": (transformers.Gemma3Config(
        text_config=text_config(num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"],
                                use_cache=True).to_dict(),
        vision_config=dict(model_type="siglip_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                           num_attention_heads=1, image_size=8, patch_size=4),
        mm_tokens_per_image=4, boi_token_index=80, eoi_token_index=81, image_token_index=82), as_saved),
    "smollm3": (transformers.SmolLM3Config(**SIZES | {"num_hidden_layers": 3}, no_rope_layer_interval=2,
                                           rope_parameters={"rope_type": "default", "rope_theta": 2e6}), as_saved),
}  # fmt: skip
make_fixtures.FOLDERS = {name: (config, torch.float16, spelling, "1GB") for name, (config, spelling) in CONFIGS.items()}


def moved(model, source, target):
    """Source and target both MOVED positions further back than in `injected`."""
    greedy = make_fixtures.Greedy()
    cache = transformers.DynamicCache(config=model.config)
    model(input_ids=source[None], past_key_values=cache, position_ids=torch.arange(MOVED, MOVED + len(source))[None])
    offset = MOVED + len(source)
    positions = torch.arange(offset, offset + len(target))[None]
    logits = model(input_ids=target[None], past_key_values=cache, position_ids=positions).logits[0]
    return logits, greedy.run(model, logits[-1], cache, offset + len(target)), greedy.margin


@torch.no_grad()
def everything(model, vocab):
    values = make_fixtures.expected(model)
    if values is None:
        return None
    logits, tokens, margin = moved(model, values["source.ids"], values["target.ids"])
    if margin < make_fixtures.MARGIN:
        return None
    beyond = torch.randint(3, vocab, (LONG,))
    more = {"moved": torch.tensor([MOVED]), "moved.logits": logits, "moved.greedy": tokens, "beyond.ids": beyond,
            "beyond.logits": model(input_ids=beyond[None]).logits[0]}  # fmt: skip
    return values | {key: value.contiguous() for key, value in more.items()}


def main(names):
    for name in names or CONFIGS:
        print(name)
        for seed in range(1, 100):
            model = make_fixtures.write_folder(name, seed)
            text = model.config.get_text_config()
            model.config.vocab_size = text.vocab_size
            values = everything(model, text.vocab_size)
            if values is not None:
                safetensors.torch.save_file(values, FIXTURES / name / "expected.safetensors")
                break
        else:
            raise SystemExit(f"{name}: no seed below 100 gives margins of {make_fixtures.MARGIN}")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    main(sys.argv[1:])
