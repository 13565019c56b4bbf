"""Generates without end in a cache of bounded length: tokens are evicted, and the keys that stay close the gap.

    python examples/python/evict_and_close_gap.py [--budget 48] [--steps 150] [--model FOLDER]

Two ways to choose what stays: StreamingLLM's (attention sinks and the recent tokens; arXiv 2309.17453), and by head, where
every head of every layer keeps, of the tokens between, those whose keys have the smallest norm (arXiv 2406.11430).

Positions are those within the cache, so that they never pass the budget. After an eviction the keys are moved to close the
gap: rotated by the difference, where they lie. The reference keeps every key without its rotation and rotates all from scratch,
by the model's own functions. Both must say the same tokens. For models that transformers runs through `apply_rotary_pos_emb`
and one rotary embedding, as Llama and Qwen.
"""

import torch

import kvtransfer_torch as kvtransfer
from text_model import TextModel, argument_parser
from unrotated_keys import UnrotatedKeys

PROMPT = (
    "Hello, my name is Lyra and I live in Seattle. The capital of France is Paris, a city on a river. "
    "Water boils at 100 degrees Celsius at sea level. What is your name and where do you live?"
)
SINKS = 4


def sinks_and_recent(keys: torch.Tensor, kept: int) -> torch.Tensor:
    """Slots [kept] of the first tokens and the last."""
    seen = keys.shape[2]
    return torch.cat([torch.arange(SINKS), torch.arange(seen - kept + SINKS, seen)])


def by_head(keys: torch.Tensor, kept: int) -> torch.Tensor:
    """Slots [batch, kv_heads, kept]: half for sinks and recent tokens, half for what each head chooses between them."""
    seen, recent = keys.shape[2], kept // 2 - SINKS
    norms = keys[:, :, SINKS : seen - recent].norm(dim=-1)  # a rotation changes no norm
    chosen = SINKS + norms.topk(kept - SINKS - recent, largest=False).indices
    always = sinks_and_recent(keys, SINKS + recent).expand(*chosen.shape[:2], -1)
    return torch.cat([always, chosen], dim=-1).sort(dim=-1).values


def close_gap_by_rotating(cache, rotary, slots: list[torch.Tensor]) -> None:
    """Moves each key that stayed from the slot it had to the slot it has."""
    kvtransfer.remap_cache_(cache, rotary, slots, torch.arange(slots[0].shape[-1]))


def close_gap_from_scratch(cache, unrotated: UnrotatedKeys, slots: list[torch.Tensor]) -> None:
    """Replaces every key by its rotation at the slot it has now."""
    unrotated.keep(slots)
    with kvtransfer.keys_in_place(cache) as layers:
        for keys, exact in zip(layers, unrotated.rotated(torch.arange(slots[0].shape[-1]))):
            keys.copy_(exact)


def stream(text: TextModel, choose, close_gap, budget: int, steps: int):
    """Says `steps` tokens after the prompt, in a cache of at most `budget` tokens. Returns them and the cache."""
    ids, cache, said = text.encode(PROMPT, start=True), None, []
    while len(said) < steps:
        start = 0 if cache is None else cache.get_seq_length()
        logits, cache = text.forward(ids, start, cache)
        if cache.get_seq_length() >= budget:
            slots = [choose(layer.keys, budget // 2) for layer in cache.layers]
            kvtransfer.keep_slots_(cache, slots)
            close_gap(cache, slots)
        ids = logits.argmax().view(1, 1)
        said.append(int(ids))
    return said, cache


def compare(text: TextModel, choose, budget: int, steps: int) -> None:
    rotary = kvtransfer.rotary_of(text.model)
    moved, ours = stream(text, choose, lambda cache, slots: close_gap_by_rotating(cache, rotary, slots), budget, steps)
    with UnrotatedKeys(text.model) as unrotated:
        exact, reference = stream(
            text, choose, lambda cache, slots: close_gap_from_scratch(cache, unrotated, slots), budget, steps
        )
    left_open, _ = stream(text, choose, lambda cache, slots: None, budget, steps)
    agreed = next((i for i, (a, b) in enumerate(zip(left_open, exact)) if a != b), steps)
    pairs = zip(ours.layers, reference.layers)
    error = max(float((a.keys - b.keys).norm() / b.keys.norm()) for a, b in pairs)
    print(f"{choose.__name__}: {len(moved)} tokens said, {ours.get_seq_length()} cached, relative error of keys {error:.1e}")
    print(f"  {text.decode(moved)[:120]}")
    print(f"  with the gap left open the tokens differ from number {agreed + 1} on")
    assert moved == exact, "keys rotated into place must say what keys rotated from scratch say"
    assert error < 1e-4


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--budget", type=int, default=48, help="tokens; half of them stay at an eviction")
    parser.add_argument("--steps", type=int, default=150, help="tokens to say")
    args = parser.parse_args()
    kvtransfer.load()
    text = TextModel(args.model)
    for choose in (sinks_and_recent, by_head):
        compare(text, choose, args.budget, args.steps)
    print("same tokens as from keys rotated from scratch")


if __name__ == "__main__":
    main()
