"""Prefills chunks of text apart, joins their caches in another order with re-positioned keys, and answers from them.

    python examples/python/reuse_chunks.py [--model FOLDER]

What the joined cache must equal: a prefill of the joined text in which the chunks do not see one another (a block-diagonal
mask). It does not equal an ordinary prefill, where later chunks read earlier ones; what that costs is a question of research
(CacheBlend, EPIC, Block-Attention, KVLink), and the answers after one are printed beside ours. For models whose layers keep
every token, not a window of them.
"""

import torch
from transformers import DynamicCache

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import CacheFrame, join_frames
from text_model import TextModel, argument_parser

CHUNKS = [
    "Hello, my name is Lyra and I live in Seattle.",
    "The capital of Velmora is Tarkis, a city on a river.",
    "Water boils at 100 degrees Celsius at sea level.",
    "The capital of Dorvane is Ilmest, a large city.",
]
ORDER = [3, 2, 1, 0]
QUESTIONS = [
    "What is your name and where do you live?",
    "What is the capital of Velmora?",
    "At what temperature does water boil?",
    "What is the capital of Dorvane?",
]


def left_where_they_were(frames: list[CacheFrame]) -> DynamicCache:
    """What not to do: every chunk's keys stand at 0 and on."""
    layers = zip(*(frame.cache.layers for frame in frames))
    parts = [(torch.cat([a.keys for a in same], dim=2), torch.cat([a.values for a in same], dim=2)) for same in layers]
    return DynamicCache(parts)


def block_diagonal_mask(lengths: list[int]) -> torch.Tensor:
    """Additive mask [1, 1, seq, seq]: every token sees the earlier ones of its own chunk."""
    seen = torch.block_diag(*(torch.ones(length, length).tril() for length in lengths)).bool()
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[None, None]


def answer(text: TextModel, cache, question: str) -> list[int]:
    """Asked of a copy, so that the cache can be asked again."""
    copy = DynamicCache([(layer.keys.clone(), layer.values.clone()) for layer in cache.layers])
    return text.greedy(copy, text.encode(question), copy.get_seq_length(), steps=30)


def answer_from(text: TextModel, frame: CacheFrame, question: str) -> list[int]:
    """Likewise, of a cache that knows where its keys stand."""
    ids = text.encode(question)
    said = frame.copy().generate(ids, max_new_tokens=30, do_sample=False, eos_token_id=text.tokenizer.eos_token_id)
    return [token for token in said[0, ids.shape[1] :].tolist() if token != text.tokenizer.eos_token_id]


@torch.no_grad()
def main() -> None:
    args = argument_parser(__doc__).parse_args()
    kvtransfer.load()
    text = TextModel(args.model)

    prefilled = [text.encode(chunk, start=True) for chunk in CHUNKS]
    frames = [CacheFrame(text.model) for _ in prefilled]
    for frame, ids in zip(frames, prefilled):  # apart, and before anyone knows the order
        frame.forward(ids)
    together = torch.cat([prefilled[i] for i in ORDER], dim=1)
    unmoved = left_where_they_were([frames[i] for i in ORDER])
    ours = join_frames(*[frames[i] for i in ORDER])  # copies, each moved to where the one before it ends

    mask = block_diagonal_mask([prefilled[i].shape[1] for i in ORDER])
    _, exact = text.forward(together, 0, attention_mask=mask)
    _, ordinary = text.forward(together, 0)
    error = max(float((a.keys - b.keys).norm() / b.keys.norm()) for a, b in zip(ours.cache.layers, exact.layers))
    print(f"keys against a prefill with a block-diagonal mask: relative error {error:.1e}")
    assert error < 1e-4

    for question in QUESTIONS:
        said = answer_from(text, ours, question)
        print(f"{question}\n  chunks joined:    {text.decode(said)}")
        print(f"  keys not moved:   {text.decode(answer(text, unmoved, question))}")
        print(f"  ordinary prefill: {text.decode(answer(text, ordinary, question))}")
        assert said == answer(text, exact, question), "joined chunks must say what the block-diagonal prefill says"
    print("same tokens as the block-diagonal prefill")


if __name__ == "__main__":
    main()
