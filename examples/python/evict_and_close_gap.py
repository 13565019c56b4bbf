"""Generates without end in a cache of bounded length: tokens are evicted, and the keys that stay close the gap.

    python examples/python/evict_and_close_gap.py [--budget 48] [--steps 150] [--model FOLDER|FILE.gguf]

Two ways to choose what stays: StreamingLLM's (attention sinks and the recent tokens; arXiv 2309.17453), and by head, where
every head of every layer keeps, of the tokens between, those whose keys have the smallest norm (arXiv 2406.11430).

Positions are those within the cache, so that they never pass the budget. After an eviction the keys are moved to close the gap: a
CacheFrame rotates them by the difference, where they lie. The reference keeps every key without its rotation and rotates all from
scratch, by the model's own functions. What it says and what it evicts is put before the frame too, step by step, and the frame's
next token must be the same, unless the reference itself wavers: its two best tokens closer than float32 tells apart. For models that
transformers runs through `apply_rotary_pos_emb`, as Llama, Qwen and Gemma.
"""

from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

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


@dataclass
class Step:
    """What the reference did: the ids that it read, what stayed then (a layer each; None: everything), and its logits [vocab]."""

    ids: torch.Tensor
    slots: list[torch.Tensor] | None
    logits: torch.Tensor


@dataclass
class Comparison:
    error: float = 0.0  # of logits, the largest, as a share of their spread
    differing: list[int] = field(default_factory=list)  # steps with another token
    wavering: int = 0  # those of them at which the reference's best two tokens were no further apart than that

    def look_at(self, number: int, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        off = float((ours - theirs).abs().max())
        best, second = theirs.topk(2).values
        self.error = max(self.error, off / float(theirs.std()))
        if ours.argmax() != theirs.argmax():
            self.differing.append(number)
            self.wavering += float(best - second) <= 2 * off


def reference(text: TextModel, choose, budget: int, steps: int) -> tuple[list[Step], DynamicCache]:
    """Says `steps` tokens after the prompt in a cache of at most `budget` tokens, every key rotated anew after an eviction."""
    ids, done, cache = text.encode(PROMPT, start=True), [], DynamicCache(config=text.model.config)
    with UnrotatedKeys(text.model) as unrotated:
        while len(done) < steps:
            logits, cache = text.forward(ids, cache.get_seq_length(), cache)
            slots = None
            if cache.get_seq_length() >= budget:
                slots = [choose(layer.keys, budget // 2) for layer in cache.layers]
                kvtransfer.keep_slots_(cache, slots)
                unrotated.keep(slots)
                with kvtransfer.keys_in_place(cache) as layers:
                    for keys, exact in zip(layers, unrotated.rotated(torch.arange(budget // 2))):
                        keys.copy_(exact)
            done.append(Step(ids, slots, logits))
            ids = logits.argmax().view(1, 1)
    return done, cache


def compare(text: TextModel, choose, budget: int, steps: int) -> None:
    done, exact = reference(text, choose, budget, steps)
    frames = {"closed": kvtransfer.CacheFrame(text.model), "left open": kvtransfer.CacheFrame(text.model)}
    found = {name: Comparison() for name in frames}
    for number, step in enumerate(done):
        for name, frame in frames.items():
            found[name].look_at(number, frame.forward(step.ids).logits[0, -1], step.logits)
            if step.slots is not None:
                frame.keep_(step.slots)
                if name == "closed":
                    frame.close_gap_()
    pairs = zip(frames["closed"].cache.layers, exact.layers)
    error = max(float((a.keys - b.keys).norm() / b.keys.norm()) for a, b in pairs)
    ours, left_open = found["closed"], found["left open"]
    said = [int(step.logits.argmax()) for step in done]
    print(f"{choose.__name__}: {steps} tokens said, {exact.get_seq_length()} cached, relative error of keys {error:.1e}")
    print(f"  {text.decode(said)[:120]}")
    print(f"  logits off by {ours.error:.1e} of their spread, {ours.wavering} steps too close to call")
    print(f"  with the gap left open {len(left_open.differing)} tokens differ, logits are off by {left_open.error:.1e}")
    assert error < 1e-4 and ours.error < 1e-3 < left_open.error
    assert len(ours.differing) == ours.wavering, "keys rotated into place must say what keys rotated from scratch say"


@torch.no_grad()
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
