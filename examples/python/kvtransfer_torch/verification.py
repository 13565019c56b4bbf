"""One verdict on a model: do moved keys equal what it would have written there?

    kvtransfer-verify-moves MODEL [--dtype bfloat16] [--lengths 16 256] [--json FILE]        (or python -m kvtransfer_torch MODEL)

Exit status 0: the moves hold; 1: they do not; 2: refused, with the reason.
"""

import argparse
import copy
import json
import math
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from . import library
from .frame import CacheFrame, join_frames
from .model_files import from_pretrained_arguments
from .rotary import Rotary, are_equal, depends_on_length
from .saved_frame import load_frame, save_frame

HOLDS, DOES_NOT_HOLD, REFUSED = "holds", "does not hold", "refused"
SLACK = 4  # errors may be so many times what the type itself costs: a moved key is rounded once more


@dataclass
class Check:
    """One operation at one length. Errors are norm(moved - prefilled) / norm(prefilled), one a layer.

    floors    what the model's own type costs there: its keys against those of a copy in a wider type
    tolerance what `errors` may be: SLACK times the floor, and what float32 angles lose at these positions
    """

    name: str
    length: int
    errors: list[float]
    floors: list[float]
    tolerance: list[float]
    holds: bool

    @property
    def worst_layer(self) -> int:
        """The layer that comes closest to its tolerance, or passes it by most."""
        return max(range(len(self.errors)), key=lambda layer: self.errors[layer] / max(self.tolerance[layer], 1e-30))


@dataclass
class Greedy:
    """`tokens` said behind moved keys, against those said behind a prefill there, which both then read."""

    length: int
    tokens: int
    token_ids: list[int]
    text: str | None
    differing: list[int]  # steps at which moved keys would say another token
    undecided: list[int]  # those of them at which the two best tokens were closer than the type tells apart
    error: float  # of logits, as a share of their spread
    floor: float  # what the type itself costs
    holds: bool


@dataclass
class Verdict:
    verdict: str
    reason: str | None
    model: str
    dtype: str
    checks: list[Check] = field(default_factory=list)
    greedy: list[Greedy] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.verdict == HOLDS

    def __str__(self) -> str:
        lines = [f"{self.model} in {self.dtype}: {self.verdict}" + (f": {self.reason}" if self.reason else "")]
        if self.checks:
            lines.append(f"{'operation':<22} {'length':>6} {'layer':>5} {'error':>9} {'floor':>9} {'tolerance':>9}")
        for check in self.checks:
            layer = check.worst_layer
            numbers = f"{check.errors[layer]:>9.1e} {check.floors[layer]:>9.1e} {check.tolerance[layer]:>9.1e}"
            lines.append(f"{check.name:<22} {check.length:>6} {layer:>5} {numbers}{'' if check.holds else '  DOES NOT HOLD'}")
        for each in self.greedy:
            agree = f"{each.tokens - len(each.differing)} of {each.tokens} tokens the same, {len(each.undecided)} undecided"
            logits = f"logits off by {each.error:.1e} (floor {each.floor:.1e})"
            lines.append(f"greedy, length {each.length}: {agree}, {logits}{'' if each.holds else '  DOES NOT HOLD'}")
            lines += [f"  {each.text!r}"] if each.text is not None else []
        return "\n".join(lines)


@torch.no_grad()
def verify_moves(
    model,
    lengths: tuple[int, ...] = (16, 256),
    delta: int = 500,
    tokens: int = 24,
    input_ids: torch.Tensor | None = None,
    tokenizer=None,
    conventions: dict | None = None,
) -> Verdict:
    """Moves keys of `model` in every way and compares them with a prefill at the new positions, in the model's own type.

    At each of `lengths` tokens: shift and remap by `delta`, un-rotate and rotate, cut what stands in front and close the gap, save and
    load; then `tokens` are said greedily behind moved keys and behind a prefill.

    input_ids    [seq] or [1, seq], at least as many as the longest length; None: random ones
    tokenizer    to show what was said
    conventions  as of `rotary_of`

    A copy of the model in a wider type (float32, or float64 for float32) tells what the type itself costs: three times its memory.
    """
    name, dtype = getattr(model.config, "name_or_path", "") or type(model).__name__, str(model.dtype).removeprefix("torch.")
    try:
        library.operators()
        _require_settings(lengths, delta, tokens)
        verifier = _Verifier(model, delta, input_ids, max(lengths), conventions)
        checks, greedy = [], []
        for length in lengths:
            checks += verifier.checks(length)
            if not depends_on_length(verifier.model):  # else every token changes what the keys before it would be
                greedy.append(verifier.greedy(length, tokens, tokenizer))
    except (ValueError, RuntimeError, FileNotFoundError) as refusal:
        return Verdict(REFUSED, str(refusal), name, dtype)
    failed = [f"{each.name} at length {each.length}" for each in checks if not each.holds]
    failed += [f"greedy text at length {each.length}" for each in greedy if not each.holds]
    reason = ", ".join(failed) or None
    return Verdict(DOES_NOT_HOLD if failed else HOLDS, reason, name, dtype, checks, greedy)


def _require_settings(lengths: tuple[int, ...], delta: int, tokens: int) -> None:
    """Raises ValueError for what nothing could be seen by."""
    if not lengths or min(lengths) < 2:
        raise ValueError(f"verify_moves: lengths: expected one or more, each 2 tokens or more, got {list(lengths)}")
    for name, number, least in (("delta", delta, 1), ("tokens", tokens, 0)):
        if number < least:
            raise ValueError(f"verify_moves: {name}: expected {least} or more, got {number}")


class _Verifier:
    def __init__(self, model, delta: int, input_ids, longest: int, conventions):
        self.model, self.delta, self.conventions = model, delta, conventions
        CacheFrame(model, conventions=conventions)  # refuses, before anything is copied
        vocabulary = model.config.get_text_config().vocab_size
        if input_ids is None:
            generator = torch.Generator().manual_seed(0)
            input_ids = torch.randint(min(3, vocabulary - 1), vocabulary, (longest,), generator=generator)
        self.ids = input_ids.reshape(1, -1).to(model.device)
        if self.ids.shape[1] < longest:
            raise ValueError(f"verify_moves: input_ids: expected at least {longest}, got {self.ids.shape[1]}")
        wider = torch.float64 if model.dtype == torch.float32 else torch.float32
        self.wide = copy.deepcopy(model).to(wider)

    def read(self, model, ids: torch.Tensor, start: int) -> tuple[CacheFrame, torch.Tensor]:
        """A frame of `ids` from position `start` on, and the logits of the last one."""
        frame = CacheFrame(model, conventions=self.conventions)
        frame.go_on_at_(start)
        return frame, frame.forward(ids).logits[0, -1].double()

    def checks(self, length: int) -> list[Check]:
        ids, there = self.ids[:, :length], torch.arange(self.delta, self.delta + length)
        here, _ = self.read(self.model, ids, 0)
        expected, _ = self.read(self.model, ids, self.delta)
        floors = self._floors(ids, here, 0), self._floors(ids, expected, self.delta)
        at_both = [max(pair) for pair in zip(*floors)]
        # What the layers above the first read depends on the frequencies: where those change, the first alone can be compared.
        same = are_equal(here.rotary, expected.rotary)
        compared = len(at_both) if same else 1

        def moved(move) -> CacheFrame:
            frame = here.copy()
            if not same:
                frame.reframe_(self.delta + length)
            move(frame)
            return frame

        def around(frame: CacheFrame) -> None:
            frame.unrotate_()
            frame.rotate_(_tails(frame, there))

        operations = {
            "shift": lambda frame: frame.shift_(self.delta),
            "remap": lambda frame: frame.remap_(_tails(frame, there)),
            "un-rotate, rotate": around,
        }
        last = self.delta + length
        found = [self._check(name, length, moved(move), expected, at_both, last, compared) for name, move in operations.items()]
        if same:
            found.append(self._check("cut, close the gap", length, self._cut(here, expected), here, at_both, last, compared))
        found.append(self._saved_and_loaded(moved(operations["shift"]), length))
        return found

    def _cut(self, first: CacheFrame, second: CacheFrame) -> CacheFrame:
        """What stays of two, one behind the other, when the first is cut off and the second closes the gap."""
        joined = join_frames(first, second)
        held = [(both.shape[-1], own.shape[-1]) for both, own in zip(joined.positions, second.positions)]
        joined.keep_([torch.arange(both - own, both) for both, own in held])
        joined.close_gap_()
        return joined

    def _saved_and_loaded(self, frame: CacheFrame, length: int) -> Check:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "frame.pt")
            save_frame(frame, path)
            loaded = load_frame(path, self.model, conventions=self.conventions)
        errors = _errors(loaded, frame)
        same = all(torch.equal(a, b) for a, b in zip(loaded.positions, frame.positions))
        nothing = [0.0] * len(errors)
        return Check("save, load", length, errors, nothing, nothing, same and not any(errors))

    def _floors(self, ids: torch.Tensor, frame: CacheFrame, start: int) -> list[float]:
        return _errors(frame, self.read(self.wide, ids, start)[0])

    def _check(self, name: str, length: int, frame: CacheFrame, expected: CacheFrame, floors, last: int, compared: int) -> Check:
        errors = _errors(frame, expected)[:compared]
        angles = [_fastest(rotary) * last * 2.0**-24 for rotary in frame.rotary]
        tolerance = [SLACK * floor + max(angles[: layer + 1]) for layer, floor in enumerate(floors[:compared])]
        return Check(name, length, errors, floors[:compared], tolerance, all(e <= t for e, t in zip(errors, tolerance)))

    def greedy(self, length: int, tokens: int, tokenizer) -> Greedy:
        """Behind moved keys and behind a prefill there; what the prefill says is read by both."""
        ids = self.ids[:, :length]
        moved, _ = self.read(self.model, ids[:, :-1], 0)
        expected, _ = self.read(self.model, ids[:, :-1], self.delta)
        moved.shift_(self.delta)
        wide, _ = self.read(self.wide, ids[:, :-1], self.delta)
        step, said, differing, undecided, error, floor = ids[:, -1:], [], [], [], 0.0, 0.0
        for number in range(tokens):
            ours, theirs, exact = (each.forward(step).logits[0, -1].double() for each in (moved, expected, wide))
            spread, off = float(theirs.std()), float((ours - theirs).abs().max())
            error = _larger(error, _share(off, spread))
            floor = _larger(floor, _share(float((theirs - exact).abs().max()), spread))
            best, second = theirs.topk(2).values
            if ours.argmax() != theirs.argmax():
                differing.append(number)
                undecided += [number] if float(best - second) <= 2 * off else []
            step = theirs.argmax().view(1, 1)
            said.append(int(step))
        angle = max(map(_fastest, moved.rotary)) * (self.delta + length + tokens) * 2.0**-24
        text = None if tokenizer is None else tokenizer.decode(said)
        holds = error <= SLACK * floor + SLACK * angle and len(differing) == len(undecided)
        return Greedy(length, tokens, said, text, differing, undecided, error, floor, holds)


def _errors(frame: CacheFrame, expected: CacheFrame) -> list[float]:
    pairs = zip(frame.cache.layers, expected.cache.layers, strict=True)
    differences = [(a.keys.double(), b.keys.double()) for a, b in pairs]
    return [_share(float((a - b).norm()), float(b.norm())) for a, b in differences]


def _share(part: float, whole: float) -> float:
    """0 of nothing is 0."""
    return 0.0 if part == 0 else math.inf if whole == 0 else part / whole


def _larger(a: float, b: float) -> float:
    """What is no number is larger than any: `max` would let it pass."""
    return b if math.isnan(b) or b > a else a


def _tails(frame: CacheFrame, positions: torch.Tensor) -> list[torch.Tensor]:
    """The positions of what each layer holds: the last tokens."""
    return [positions[len(positions) - held.shape[-1] :] for held in frame.positions]


def _fastest(rotary: Rotary | None) -> float:
    """Radians per token."""
    return 0.0 if rotary is None else float(rotary.inv_freq.abs().max())


def _without_nan(value):
    """JSON has no name for what is no number: null, as the C++ program writes it."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _open(path: Path, dtype: torch.dtype):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, more = from_pretrained_arguments(path)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **more).eval(), AutoTokenizer.from_pretrained(folder, **more)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kvtransfer-verify-moves", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a transformers model, or FILE.gguf")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 256], help="tokens")
    parser.add_argument("--delta", type=int, default=500, help="tokens to move by")
    parser.add_argument("--tokens", type=int, default=24, help="tokens to say")
    parser.add_argument("--json", type=Path, help="where to write the verdict, - for stdout")
    args = parser.parse_args(arguments)
    try:
        library.load()
        model, tokenizer = _open(args.model, getattr(torch, args.dtype))
        verdict = verify_moves(model, tuple(args.lengths), args.delta, args.tokens, tokenizer=tokenizer)
    except (OSError, ValueError) as error:
        verdict = Verdict(REFUSED, str(error).splitlines()[0], str(args.model), args.dtype)
    if args.json is not None:
        text = json.dumps(_without_nan(asdict(verdict)), indent=1)
        print(text) if str(args.json) == "-" else args.json.write_text(text + "\n")
    if verdict.verdict == REFUSED:
        print(f"verify_moves: {verdict.model}: refused: {verdict.reason}", file=sys.stderr)
    elif str(args.json) != "-":
        print(verdict)
    return {HOLDS: 0, DOES_NOT_HOLD: 1, REFUSED: 2}[verdict.verdict]
