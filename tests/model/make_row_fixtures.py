"""Makes rows.safetensors beside the committed model folders: unequal rows onto caches, row by row, past the windows.

    .venv/bin/python tests/model/make_row_fixtures.py [NAME ...]

For each architecture, Llama included, from the folders that make_fixtures.py and make_architecture_fixtures.py have written:

    source.ids, target.ids      [3, L]       texts of unequal length, padded on the left with 0; sources are longer than the windows
    source.lengths, .target.lengths  [3]     how many ids of each row, the last ones, are text
    injected.logits             [3, vocab]   of every target's last token, its source's cache in front, computed for that row alone
    injected.greedy             [3, T]
    moved                       [1]          a distance: sources and targets both stand that much further back
    moved.logits, moved.greedy  likewise

A row alone is the oracle: in a batch transformers counts padding between source and target as keys of a window.

phi3/crossing.safetensors: LongRoPE changes its frequencies at 64 tokens, in the middle of what is generated.

    ids                         [58]
    greedy                      [T]          by forward passes onto the cache: its keys keep the frequencies that they were written with
    generated                   [T]          by transformers' generate, which reads the text anew where it gets longer than 64 tokens
"""

import pathlib
import sys

import make_architecture_fixtures
import make_fixtures
import safetensors.torch
import torch
import transformers

MOVED = 9
SOURCES, TARGETS = [27, 12, 19], [9, 5, 7]
ROOT = pathlib.Path(__file__).resolve().parent / "fixtures"
NAMES = ["gqa-tied-fp32", "llama3-scaled-fp32"] + [f"architectures/{name}" for name in make_architecture_fixtures.CONFIGS]
make_fixtures.NEW_TOKENS = 12


def opened(name):
    model = transformers.AutoModelForCausalLM.from_pretrained(ROOT / name, dtype=torch.float32, attn_implementation="eager").eval()
    model.config.vocab_size = model.config.get_text_config().vocab_size
    return model


def padded(rows):
    longest = max(map(len, rows))
    return torch.stack([torch.nn.functional.pad(row, (longest - len(row), 0)) for row in rows])


def onto(model, greedy, source, target, start):
    """A target behind its source, which stands from `start` on."""
    cache = transformers.DynamicCache(config=model.config)
    model(input_ids=source[None], past_key_values=cache, position_ids=torch.arange(start, start + len(source))[None])
    first = start + len(source)
    positions = torch.arange(first, first + len(target))[None]
    logits = model(input_ids=target[None], past_key_values=cache, position_ids=positions).logits[0, -1]
    return logits, greedy.run(model, logits, cache, first + len(target))


def rows_of(model, vocab):
    sources, targets = ([torch.randint(3, vocab, (n,)) for n in lengths] for lengths in (SOURCES, TARGETS))
    values = {"source.ids": padded(sources), "target.ids": padded(targets), "source.lengths": torch.tensor(SOURCES),
              "target.lengths": torch.tensor(TARGETS), "moved": torch.tensor([MOVED])}  # fmt: skip
    greedy = make_fixtures.Greedy()
    for name, start in (("injected", 0), ("moved", MOVED)):
        found = [onto(model, greedy, *row, start) for row in zip(sources, targets)]
        values[f"{name}.logits"], values[f"{name}.greedy"] = (torch.stack(each) for each in zip(*found))
    return values if greedy.margin >= make_fixtures.MARGIN else None


def crossing_of(model, vocab):
    ids = torch.randint(3, vocab, (58,))
    cache, greedy = transformers.DynamicCache(config=model.config), make_fixtures.Greedy()
    tokens = greedy.run(model, model(input_ids=ids[None], past_key_values=cache).logits[0, -1], cache, len(ids))
    out = model.generate(ids[None], do_sample=False, max_new_tokens=make_fixtures.NEW_TOKENS, eos_token_id=None, pad_token_id=0,
                         output_logits=True, return_dict_in_generate=True)  # fmt: skip
    best = torch.stack(out.logits).topk(2).values
    generated, margin = out.sequences[0, len(ids):], (best[..., 0] - best[..., 1]).min().item()
    if min(greedy.margin, margin) < make_fixtures.MARGIN or torch.equal(tokens, generated):
        return None
    return {"ids": ids, "greedy": tokens, "generated": generated}


@torch.no_grad()
def write(name, make, file):
    model = opened(name)
    for seed in range(1, 100):
        torch.manual_seed(seed)
        values = make(model, model.config.vocab_size)
        if values is not None:
            safetensors.torch.save_file({key: value.contiguous() for key, value in values.items()}, ROOT / name / file)
            return print(f"{name}: {file} of seed {seed}")
    raise SystemExit(f"{name}: no seed below 100 gives margins of {make_fixtures.MARGIN}")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for each in sys.argv[1:] or NAMES:
        write(each, rows_of, "rows.safetensors")
        if each == "architectures/phi3":
            write(each, crossing_of, "crossing.safetensors")
