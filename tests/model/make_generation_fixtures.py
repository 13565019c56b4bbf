"""Makes what tests of generation's settings expect, from transformers.

    .venv/bin/python tests/model/make_generation_fixtures.py

tests/model/fixtures/dynamic-past-max-positions/ holds a small random Llama with dynamic NTK scaling that was trained on
16 positions (config.json and model.safetensors are inputs), and beside

    expected.safetensors   fp32 on the CPU, eager attention
      prompt.ids           [P]          one text
      prompt.greedy        [40]         what transformers' generate adds to it, far past the 16 positions
      long.ids             [L]          a text that is itself longer
      long.logits          [L, vocab]   its logits in one pass

tests/model/fixtures/generation_eos.json lists which tokens end a generation, by what config.json and
generation_config.json say: `{"config": {…} , "generation_config": {…} or null for no such file, "eos": [ids]}`.
"""

import itertools
import json
import pathlib
import tempfile

import safetensors.torch
import torch
import transformers

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
NEW_TOKENS = 40
MARGIN = 1e-3


def greedy(model, prompt):
    """The tokens that generate adds, and the smallest margin by which one was chosen."""
    out = model.generate(prompt[None], do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0, output_logits=True,
                         return_dict_in_generate=True)
    best = torch.stack(out.logits).topk(2).values
    return out.sequences[0, len(prompt):], (best[..., 0] - best[..., 1]).min().item()


@torch.no_grad()
def make_past_max_positions():
    folder = FIXTURES / "dynamic-past-max-positions"
    load = dict(dtype=torch.float32, attn_implementation="eager")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **load).eval()
    config = transformers.AutoConfig.from_pretrained(folder)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 10000.0}
    unscaled = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config, **load).eval()
    for seed in range(200):
        torch.manual_seed(seed)
        prompt = torch.randint(3, model.config.vocab_size, (12,))
        tokens, margin = greedy(model, prompt)
        if len(tokens) == NEW_TOKENS and margin > MARGIN and not torch.equal(tokens, greedy(unscaled, prompt)[0]):
            break
    else:
        raise SystemExit("no seed below 200 gives tokens that leave a margin and depend on the scaling")
    text = torch.randint(3, model.config.vocab_size, (30,))
    # Another model: dynamic scaling keeps the frequencies of the longest text that it has seen.
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **load).eval()
    values = {"prompt.ids": prompt, "prompt.greedy": tokens, "long.ids": text, "long.logits": model(text[None]).logits[0]}
    safetensors.torch.save_file({key: value.contiguous() for key, value in values.items()},
                                folder / "expected.safetensors")
    print(f"seed {seed}: smallest margin {margin:.1e}")


def make_eos():
    """What ends a generation is the tensor that generate's stopping criterion is made from."""
    config = transformers.LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                      num_attention_heads=2, max_position_embeddings=64)
    absent = object()
    named = lambda value: {} if value is absent else {"eos_token_id": value}
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        plain = json.loads((folder / "config.json").read_text())
        plain.pop("eos_token_id", None)
        files = [None] + [named(value) for value in (absent, None, [], 5, [5, 6])]
        for in_config, generation in itertools.product([absent, None, [], 20, [20, 3]], files):
            (folder / "config.json").write_text(json.dumps({**plain, **named(in_config)}))
            (folder / "generation_config.json").unlink(missing_ok=True)
            if generation is not None:
                (folder / "generation_config.json").write_text(json.dumps(generation))
            model = transformers.AutoModelForCausalLM.from_pretrained(folder)
            settings, _ = model._prepare_generation_config(None, pad_token_id=0)
            model._prepare_special_tokens(settings)
            ends = settings._eos_token_tensor
            cases.append({"config": named(in_config), "generation_config": generation,
                          "eos": [] if ends is None else [int(i) for i in ends]})
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FIXTURES / "generation_eos.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    make_past_max_positions()
    make_eos()
