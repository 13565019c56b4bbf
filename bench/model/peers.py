"""Runs one matrix of conditions, tests and trials here and in transformers' own loop, by turns in one run; tokens are compared.

The loop is what a researcher writes: for each trial the source is read, its cache handed to the target, and tokens are made
one by one, drawn as phase2a draws them (Philox keyed on seed and step, inverse CDF in double). Beside it, where they are
installed: bitsandbytes' 4 bits for --nf4, and llama-cpp-python's speed on a GGUF file.

    python bench/model/peers.py --phase2a build/release/bin/phase2a --model DIR|FILE.gguf [--device cuda] [--dtype bfloat16]
                                [--nf4] [--trials 10] [--temperature 1] [--rounds 3]
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch

CONDITIONS = "baseline,text_oracle,same_cache,transfer"  # what a loop without frames and policies can do too
MASK = (1 << 32) - 1


def uniform_draw(seed: int, step: int) -> float:
    """Philox-4x32-10 of Salmon et al. (SC 2011): the seed is the key, the step the upper half of the counter."""
    a, b, c, d = 0, 0, step & MASK, step >> 32
    k0, k1 = seed & MASK, seed >> 32
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ k0, second & MASK, (first >> 32) ^ d ^ k1, first & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return (((a << 32) | b) >> 11) / 2**53


def chosen(logits: torch.Tensor, temperature: float, seed: int, step: int) -> int:
    if temperature == 0:
        return int(logits.argmax())
    scores = logits.double()
    sums = ((scores - scores.max()) / temperature).exp().cumsum(0)
    return min(int((sums <= uniform_draw(seed, step) * sums[-1]).sum()), scores.numel() - 1)


def run_ours(args: argparse.Namespace, output: pathlib.Path) -> tuple[float, float, list[dict[str, Any]]]:
    """Seconds of the whole command, seconds of the run in it, and the trials' records."""
    command = [args.phase2a, "--model", args.model, "--device", args.device, "--dtype", args.dtype, "--conditions", CONDITIONS,
               "--trials", str(args.trials), "--temperature", str(args.temperature), "--max-new-tokens", str(args.max_new_tokens),
               "--output", str(output)]
    command += ["--quantize", "nf4"] if args.nf4 else []
    command += ["--threads", str(args.threads)] if args.threads else []
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begun
    results = json.loads((output / "phase2a_transfer_results.json").read_text())
    records = [json.loads(line) for line in (output / "records.jsonl").read_text().splitlines()]
    return whole, results["program"]["seconds"], [record for record in records if "condition" in record]


def open_transformers(args: argparse.Namespace) -> Any:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings: dict[str, Any] = {"dtype": getattr(torch, args.dtype)}
    path = pathlib.Path(args.model)
    if path.suffix == ".gguf":
        settings["gguf_file"], path = path.name, path.parent
    if args.nf4:
        if importlib.util.find_spec("bitsandbytes") is None:
            raise SystemExit("peers.py: --nf4 needs bitsandbytes for transformers' side")
        settings["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                                             bnb_4bit_compute_dtype=settings["dtype"])
        settings["device_map"] = args.device
    model = AutoModelForCausalLM.from_pretrained(path, **settings)
    return model.eval() if args.nf4 else model.eval().to(args.device)


@torch.no_grad()
def run_transformers(model: Any, args: argparse.Namespace, records: list[dict[str, Any]]) -> tuple[float, list[list[int]]]:
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    said = []
    begun = time.perf_counter()
    for record in records:
        cache = None
        for parts in ([p for p in record["read"] if p["injected"]], [p for p in record["read"] if not p["injected"]]):
            ids = [token for part in parts for token in part["token_ids"]]
            if ids:
                read = model(torch.tensor([ids], device=args.device), past_key_values=cache, use_cache=True)
                cache = read.past_key_values
        tokens: list[int] = []
        for step in range(args.max_new_tokens):
            token = chosen(read.logits[0, -1], args.temperature, record["seed"], step)
            if token in ends:
                break
            tokens.append(token)
            if step + 1 < args.max_new_tokens:
                read = model(torch.tensor([[token]], device=args.device), past_key_values=cache, use_cache=True)
        said.append(tokens)
    if args.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begun, said


def time_llama_cpp(args: argparse.Namespace) -> str:
    if not args.model.endswith(".gguf") or importlib.util.find_spec("llama_cpp") is None:
        return "llama-cpp-python: not installed, or no GGUF file"
    from llama_cpp import Llama

    model = Llama(args.model, n_threads=args.threads or 2, n_gpu_layers=0 if args.device == "cpu" else -1, verbose=False)
    model.eval([1] * 32)
    begun = time.perf_counter()
    for _ in range(args.max_new_tokens):
        model.eval([1])
    seconds = (time.perf_counter() - begun) / args.max_new_tokens
    return f"llama-cpp-python: {1 / seconds:8.0f} tokens/s in one row ({1e3 * seconds:.2f} ms a token)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phase2a", default="build/release/bin/phase2a")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--nf4", action="store_true")
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--max-new-tokens", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0, help="0: as each program chooses")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = open_transformers(args)
    ours, whole, theirs = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(args.rounds):
            command, run, records = run_ours(args, pathlib.Path(folder) / str(round_number))
            whole.append(command)
            ours.append(run)
            seconds, said = run_transformers(model, args, records)
            theirs.append(seconds)
    tokens = sum(len(record["token_ids"]) for record in records)
    equal = sum(record["token_ids"] == ids for record, ids in zip(records, said, strict=True))
    device = torch.cuda.get_device_name() if args.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{args.model}, {args.dtype}{', nf4' if args.nf4 else ''}, {device}: {len(records)} trials, {tokens} tokens, "
          f"medians of {args.rounds} rounds by turns")
    for name, seconds in (("phase2a", ours), ("phase2a with loading", whole), ("transformers' loop", theirs)):
        middle = statistics.median(seconds)
        print(f"{name:21s} {middle:8.2f} s {tokens / middle:9.0f} tokens/s {statistics.median(theirs) / middle:7.1f} times the loop")
    print(f"equal tokens: {equal} of {len(records)} trials")
    print(time_llama_cpp(args))
    if args.dtype == "float32" and not args.nf4 and equal < len(records):
        different = [(r["condition"], r["test"], r["trial"]) for r, ids in zip(records, said, strict=True) if r["token_ids"] != ids]
        print("different, look at the margins there:", *different[:10], file=sys.stderr)


if __name__ == "__main__":
    main()
