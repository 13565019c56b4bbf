"""Moves a transformers cache in place and generates on: the same tokens as after a prefill at the new positions.

    python examples/python/move_transformers_cache.py [--cache static] [--by 300] [--model FOLDER]

With --cache quanto, hqq or fp8 the moved keys are quantized a second time: nearly the same keys, and no promise of the same
tokens. Frequencies that depend on the length (dynamic NTK, LongRoPE) have to stay the same on the way; where they change, the move
is reframe_cache_, and equals a prefill in the first layer alone.
"""

import torch
from transformers import DynamicCache, QuantizedCache, StaticCache

import kvtransfer_torch as kvtransfer
from text_model import TextModel, argument_parser

SOURCE = "Hello, my name is Lyra and I live in Seattle. The capital of France is Paris, a city on a river."
QUESTION = "What is your name and where do you live?"
QUANTIZED = ("quanto", "hqq", "fp8")


def make_cache(kind: str, config):
    if kind == "dynamic":
        return DynamicCache(config=config)
    if kind == "static":
        return StaticCache(config=config, max_cache_len=256)
    return QuantizedCache(backend=kind, config=config)


def generate(text: TextModel, ids: torch.Tensor, start: int, cache, steps: int) -> list[int]:
    """transformers' own generate: `ids` at positions from `start` on, of which `cache` holds the first ones already."""
    positions = torch.arange(start, start + ids.shape[1])[None]
    mask = torch.ones_like(ids)
    said = text.model.generate(
        ids, attention_mask=mask, position_ids=positions, past_key_values=cache, max_new_tokens=steps, do_sample=False
    )
    return said[0, ids.shape[1] :].tolist()


def relative_error(ours, theirs) -> float:
    pairs = zip(kvtransfer.held_keys(ours), kvtransfer.held_keys(theirs))
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--cache", choices=("dynamic", "static", *QUANTIZED), default="dynamic")
    parser.add_argument("--by", type=int, default=300, help="tokens to move by")
    parser.add_argument("--steps", type=int, default=30, help="tokens to generate at most")
    args = parser.parse_args()
    kvtransfer.load()
    text = TextModel(args.model)
    source = text.encode(SOURCE, start=True)
    both = torch.cat([source, text.encode(QUESTION)], dim=1)

    _, cache = text.forward(source, 0, make_cache(args.cache, text.model.config))
    kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(text.model), args.by)  # the move

    _, there = text.forward(source, args.by, make_cache(args.cache, text.model.config))
    print(f"keys against a prefill at {args.by}: relative error {relative_error(cache, there):.1e}")
    moved = generate(text, both, args.by, cache, args.steps)
    expected = generate(text, both, args.by, there, args.steps)
    _, left = text.forward(source, 0, make_cache(args.cache, text.model.config))
    unmoved = generate(text, both, args.by, left, args.steps)

    print(f"prefilled there:    {text.decode(expected)}")
    print(f"moved there:        {text.decode(moved)}")
    print(f"left where it was:  {text.decode(unmoved)}")
    if args.cache in QUANTIZED:
        print("same tokens" if moved == expected else "other tokens, after a second quantization")
    else:
        assert moved == expected, "a moved cache must say what a prefill at the new positions says"
        print("same tokens")


if __name__ == "__main__":
    main()
