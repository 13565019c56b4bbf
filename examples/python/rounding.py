"""What moving again and again costs in bfloat16: keys and loss after many moves by one, and after many evictions.

    python examples/python/rounding.py [--moves 3000] [--evictions 1000] [--budget 64] [--model FOLDER|FILE.gguf]

A move in place rounds every key to the cache's type, and roundings add up, with a bias where the step is small. A CacheFrame moves
from what the model wrote: its keys are off by one rounding after any number of moves. `keep_written=False` moves from what the last
move left. Errors are of the worst layer, against an exact rotation in float64 of what the model wrote, and beside that of a single
move; the loss is the mean of -log p over the text that is read afterwards (moves), or over the last half of it (evictions).
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import CacheFrame, Rotary
from text_model import TextModel, argument_parser

SOURCE = "Hello, my name is Lyra and I live in Seattle. The capital of France is Paris, a city on a river."
AFTERWARDS = " Water boils at 100 degrees Celsius at sea level. What is your name and where do you live?"
STREAMED = Path(__file__).resolve().parents[2] / "README.md"
SINKS = 4


@dataclass
class Row:
    """A line of the table. `error` and `single` are relative errors of keys, after all moves and after one."""

    what: str
    roundings: int
    error: float
    single: float
    loss: float

    def __str__(self) -> str:
        return f"{self.what:<58} {self.roundings:>9} {self.error:>10.1e} {self.error / self.single:>9.2f} {self.loss:>9.4f}"


@dataclass
class AsWritten:
    """What the model wrote, taken from the cache as soon as it was there, a layer each: keys and where they stood."""

    keys: list[torch.Tensor] = field(default_factory=list)
    positions: list[torch.Tensor] = field(default_factory=list)

    def take(self, frame: CacheFrame, count: int) -> None:
        """The last `count` slots, which have just been read."""
        for layer, (held, positions) in enumerate(zip(frame.cache.layers, frame.positions)):
            new = held.keys[:, :, -count:].clone(), positions[0, 0, -count:]
            if layer == len(self.keys):
                self.keys.append(new[0])
                self.positions.append(new[1])
            else:
                self.keys[layer] = torch.cat([self.keys[layer], new[0]], dim=2)
                self.positions[layer] = torch.cat([self.positions[layer], new[1]])

    def keep(self, slots: torch.Tensor) -> None:
        self.keys = [each[:, :, slots] for each in self.keys]
        self.positions = [each[slots] for each in self.positions]

    def errors(self, frame: CacheFrame) -> tuple[float, float]:
        """Of the frame's keys, and of keys that move there at once: the worst layer's."""
        worst = [0.0, 0.0]
        for layer, (keys, old, new) in enumerate(zip(self.keys, self.positions, frame.positions)):
            rotary = frame.rotary[layer]
            if rotary is None:
                continue
            exact, once = exactly_rotated(keys, rotary, new[0, 0] - old), keys.clone()
            kvtransfer.remap_([once], rotary, old, new[0, 0])
            for place, each in enumerate((frame.cache.layers[layer].keys, once)):
                worst[place] = max(worst[place], float((each.double() - exact).norm() / exact.norm()))
        return worst[0], worst[1]


def exactly_rotated(keys: torch.Tensor, rotary: Rotary, by: torch.Tensor) -> torch.Tensor:
    """[batch, kv_heads, seq, head_dim] rotated on `by` tokens, int64 [seq], in float64."""
    width = 2 * len(rotary.inv_freq)
    window, rest = keys.double().split([width, keys.shape[-1] - width], dim=-1)
    pairs = window.unflatten(-1, (-1, 2)) if rotary.interleaved else window.unflatten(-1, (2, -1)).transpose(-1, -2)
    angles = by[:, None].double() * rotary.inv_freq.double()
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.ones_like(angles), angles))
    turned = turned if rotary.interleaved else turned.transpose(-1, -2)
    return torch.cat([turned.flatten(-2), rest], dim=-1)


def losses(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """-log p of each of `ids` [seq] by the `logits` [seq, vocab] in front of it."""
    return torch.nn.functional.cross_entropy(logits.float(), ids, reduction="none")


def after_moves(text: TextModel, frame: CacheFrame, moves: int, what: str) -> Row:
    """`moves` moves by one, then a text is read."""
    source, afterwards = text.encode(SOURCE, start=True), text.encode(AFTERWARDS)
    written = AsWritten()
    frame.forward(source)
    written.take(frame, source.shape[1])
    for _ in range(moves):
        frame.shift_(1)
    error, single = written.errors(frame)
    loss = losses(frame.forward(afterwards).logits[0, :-1], afterwards[0, 1:]).mean()
    return Row(what, frame.roundings, error, single, float(loss))


def after_evictions(text: TextModel, frame: CacheFrame, ids: torch.Tensor, evictions: int, budget: int, what: str) -> Row:
    """`ids` [seq] read one by one; beyond the budget each pushes one out, and the gap is closed."""
    written, read = AsWritten(), budget
    logits = frame.forward(ids[None, :budget]).logits[0, -1:]
    written.take(frame, budget)
    kept = torch.cat([torch.arange(SINKS), torch.arange(SINKS + 1, budget + 1)])
    every = []
    for read in range(budget, budget + evictions):
        every.append(losses(logits, ids[read : read + 1]))
        logits = frame.forward(ids[None, read : read + 1]).logits[0, -1:]
        written.take(frame, 1)
        frame.keep_(kept)
        written.keep(kept)
        frame.close_gap_()
    error, single = written.errors(frame)
    return Row(what, frame.roundings, error, single, float(torch.cat(every)[evictions // 2 :].mean()))


@torch.no_grad()
def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--moves", type=int, default=3000, help="moves by one token")
    parser.add_argument("--evictions", type=int, default=1000, help="tokens evicted, one after another")
    parser.add_argument("--budget", type=int, default=64, help="tokens in the cache")
    args = parser.parse_args()
    kvtransfer.load()
    text = TextModel(args.model, dtype=torch.bfloat16)
    ids = text.encode(STREAMED.read_text(), start=True)[0, : args.budget + args.evictions]

    print(f"{'bfloat16':<58} {'roundings':>9} {'key error':>10} {'x single':>9} {'loss':>9}")
    rows = [after_moves(text, CacheFrame(text.model), 0, "not moved")]
    kinds = {"frame": True, "in place from what the last move left": False}
    for what, keep_written in kinds.items():
        frame = CacheFrame(text.model, keep_written=keep_written)
        rows.append(after_moves(text, frame, args.moves, f"{args.moves} moves by 1, {what}"))
    for what, keep_written in kinds.items():
        frame = CacheFrame(text.model, keep_written=keep_written)
        rows.append(after_evictions(text, frame, ids, args.evictions, args.budget, f"{args.evictions} evictions, {what}"))
    rows[0].single = rows[1].single
    print(*rows, sep="\n")
    for row in (rows[1], rows[3]):
        assert row.error <= 2 * row.single, "a frame's keys are off by one rounding, however often they move"


if __name__ == "__main__":
    main()
