#!/usr/bin/env python3
"""Trains projectors, puts them to phase2a's matrix, and draws what they cost: a page an experiment.

    examples/train_projector/experiments.py cross_model_there
    examples/train_projector/experiments.py --list

Each experiment is a few commands of train_projector and phase2a, which are said before they run. Projectors are left in
results/projectors, where one that is there already is not trained again; the page, its numbers (summary.json) and what
training said (training.json) go to --output. Those in results/ were made on two H200s, all of them in a quarter of an hour. Needs Python
3.9 and the two programs, nothing else.
"""

import argparse
import json
import pathlib
import shlex
import shutil
import subprocess
import sys

from draw_cost import draw
from paired_difference import difference

HERE = pathlib.Path(__file__).resolve().parent
MODELS = "examples/models"
SMOLLM2 = f"{MODELS}/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
PROJECTORS = "results/projectors"
EOS_BOS = "cache:generated_eos+second_bos"

RIDGE = "--projector ridge --rows 64"
THERE = "--steps 1000 --source-layers 6 --source-slots 4"
BACK = "--steps 1000 --source-layers 5 --source-slots 4"
FUSER = (
    "--steps 600 --warm-up 30 --rows 32 --rows-at-once 32 --hidden-size 512 --intermediate-size 512 --cache-weight 1 --measure-every 300 "
    "--cases 220 --cost-lengths 64"
)


def trained(name, source, receiver, words):
    """A projector and the command that makes it."""
    return name, f"--source {source} --receiver {receiver} --tokens text {words}"


def lab(model):
    return f"{MODELS}/lab-{model}"


TRAINED = dict(
    [
        trained("ridge_same", lab("llama"), lab("llama"), f"{RIDGE} --steps 200 --cases 440 --cost-lengths 16,64,256"),
        trained("ridge_same_eos_bos", lab("llama"), lab("llama"), f"{RIDGE} --steps 200 --cases 220 --condition {EOS_BOS} --cost-lengths 64"),
        trained("fuser_same", lab("llama"), lab("llama"), FUSER),
        trained("fuser_same_eos_bos", lab("llama"), lab("llama"), f"{FUSER} --condition {EOS_BOS}"),
        trained("fuser_same_restart", lab("llama"), lab("llama"), f"{FUSER} --condition restart"),
        trained("fuser_same_unrotated", lab("llama"), lab("llama"), f"{FUSER} --condition unrotated"),
        trained("ridge_there", lab("llama"), lab("wide"), f"{RIDGE} {THERE} --cases 440 --cost-lengths 16,64,256"),
        trained("ridge_there_rotated", lab("llama"), lab("wide"), f"{RIDGE} {THERE} --keys rotated --cases 440 --cost-lengths 64"),
        trained("ridge_back", lab("wide"), lab("llama"), f"{RIDGE} {BACK} --cases 440"),
        trained("ridge_back_rotated", lab("wide"), lab("llama"), f"{RIDGE} {BACK} --keys rotated --cases 440"),
        trained("fuser_mode", SMOLLM2, SMOLLM2, "--receiver-reads text --percent-modes 50 --percent-needed 100 --steps 300 --warm-up 15 --rows 16 "
                "--rows-at-once 16 --hidden-size 256 --intermediate-size 256 --measure-every 300 --cases 60 --cost-lengths 64"),
        trained("ridge_smollm2", SMOLLM2, SMOLLM2, "--projector ridge --steps 8 --rows 16 --cases 4 --cost-lengths 16,32,64,128,256,512"),
    ]
)


def projected(name, source=None, words=""):
    """A projector's condition and that of another test's source."""
    by = f"{PROJECTORS}/{name}" + (f"@{source}" if source else "")
    return [f"projected:{by}{words}", f"projected_other_source:{by}{words}"]


def cross_model(receiver, source, names):
    conditions = ["baseline", "text_oracle"]
    for name in names:
        conditions += projected(name, lab(source))
    by = f"{PROJECTORS}/{names[0]}@{lab(source)}"
    conditions += [f"projected_zero:{by}", f"projected_noise:{by}"]
    return f"--model lab-{receiver} --suite {PROJECTORS}/{names[0]}/held_out.json --conditions {','.join(conditions)}"


def same_model():
    conditions = ["baseline", "text_oracle", "transfer"] + projected("ridge_same") + projected("fuser_same")
    for words, names in {
        EOS_BOS: ["ridge_same_eos_bos", "fuser_same_eos_bos"],
        "restart": ["ridge_same", "fuser_same_restart"],
        "unrotated": ["ridge_same", "fuser_same_unrotated"],
    }.items():
        conditions.append(f"transfer+{words}")
        for name in names:
            conditions += projected(name, None, f"+{words}")
    return f"--model lab-llama --suite {PROJECTORS}/ridge_same/held_out.json --conditions {','.join(conditions)}"


def mode(suite):
    conditions = ["baseline", "text_oracle", "transfer"] + projected("fuser_mode")
    return f"--model smollm2-135m-instruct --suite {suite} --conditions {','.join(conditions)}"


def rotations(name):
    return [name, f"{name}_rotated"]

def against(page, a, b):
    """Two conditions of a page, as its records name them."""
    return f"results/{page}/records.jsonl", projected(a[0], a[1])[0], projected(b[0], b[1])[0]


# Page: what is trained for it, the matrix that it shows (none: it is a drawing), and two of its projections that are compared besides.
EXPERIMENTS = {
    "same_model": ([name for name in TRAINED if "_same" in name], same_model(), None),
    "cross_model_there": (rotations("ridge_there"), cross_model("wide", "llama", rotations("ridge_there")), [(name, lab("llama")) for name in rotations("ridge_there")]),
    "cross_model_back": (rotations("ridge_back"), cross_model("llama", "wide", rotations("ridge_back")), [(name, lab("wide")) for name in rotations("ridge_back")]),
    "mode": (["fuser_mode"], mode(f"{PROJECTORS}/fuser_mode/held_out_modes.json"), None),
    "mode_content": (["fuser_mode"], mode("recall:60"), None),
    "cost": (["ridge_there", "ridge_smollm2"], None, None),
}


def said(command):
    print(command, flush=True)
    done = subprocess.run(shlex.split(command))
    if done.returncode:
        sys.exit(f"experiments.py: {shlex.split(command)[0]} ended with status {done.returncode}")


def train(name, device, programs):
    if not pathlib.Path(PROJECTORS, name, "training.json").exists():
        said(f"{programs}/train_projector --device {device} --output {PROJECTORS}/{name} {TRAINED[name]}")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("experiment", nargs="*", choices=[*EXPERIMENTS, []], help="which; none: all of them")
    words.add_argument("--list", action="store_true", help="only say the commands")
    words.add_argument("--train", action="append", default=[], choices=TRAINED, help="only train this projector, and make no page")
    words.add_argument("--device", default="auto", help="auto, cpu or cuda, for training and matrix")
    words.add_argument("--programs", default="build/release/bin", help="where train_projector and phase2a lie")
    words.add_argument("--output", default=HERE / "results", type=pathlib.Path, help="where pages go")
    chosen = words.parse_args()
    for name in chosen.train:
        train(name, chosen.device, chosen.programs)
    for page in chosen.experiment or ([] if chosen.train else EXPERIMENTS):
        names, matrix, compared = EXPERIMENTS[page]
        if chosen.list:
            for name in names:
                print(f"train_projector --output {PROJECTORS}/{name} {TRAINED[name]}")
            print(f"phase2a --output results/{page} --max-new-tokens 24 {matrix}" if matrix else f"draw_cost.py {page}")
            continue
        for name in names:
            train(name, chosen.device, chosen.programs)
        folder = chosen.output / page
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(f"{PROJECTORS}/{name}/training.json", folder / f"{name}.json")
        if matrix:
            said(f"{chosen.programs}/phase2a --device {chosen.device} --dtype float32 --output results/{page} --max-new-tokens 24 {matrix}")
            for file in ("report.html", "summary.json"):
                shutil.copy(f"results/{page}/{file}", folder / file)
            if compared:
                found = difference(*against(page, *compared))
                (folder / "paired_difference.json").write_text(json.dumps(found, indent=2) + "\n")
                print(json.dumps(found), flush=True)
        else:
            draw([folder / f"{name}.json" for name in names], folder / "cost.svg")


if __name__ == "__main__":
    main()
