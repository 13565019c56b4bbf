"""Writes fixtures/ridge.safetensors: keys of two models for the same tokens, and numpy's ridge solutions.

Solved by least squares on rows appended for the penalty, not by the normal equations that the library solves.
    python make_ridge_fixture.py
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

BATCH, SEQ, SOURCE_LAYERS = 2, 30, 2
SOURCE_HEADS, SOURCE_DIM, HEADS, DIM = 2, 4, 4, 2


def solution(x, y, penalty):
    x_mean, y_mean = x.mean(0), y.mean(0)
    rows = np.vstack([x - x_mean, np.sqrt(penalty) * np.eye(x.shape[1])])
    targets = np.vstack([y - y_mean, np.zeros((x.shape[1], y.shape[1]))])
    weight = np.linalg.lstsq(rows, targets, rcond=None)[0]
    return weight, y_mean - x_mean @ weight


def flat(tensor):
    """[batch, heads, seq, dim] as [tokens, heads * dim]."""
    return tensor.transpose(0, 2, 1, 3).reshape(-1, tensor.shape[1] * tensor.shape[3])


def behind(tensor, count):
    """The tensor as it is and moved on by 1 to count - 1 slots, its first slot repeated."""
    slots = np.arange(SEQ)
    return [tensor[:, :, np.maximum(slots - back, 0)] for back in range(count)]


def by_head(source, target, penalty):
    weights, biases = [], []
    for head in range(HEADS):
        from_head = head * SOURCE_HEADS // HEADS
        x = np.hstack([flat(layer[:, from_head : from_head + 1]) for layer in source])
        weight, bias = solution(x, flat(target[:, head : head + 1]), penalty)
        weights.append(weight)
        biases.append(bias)
    return np.stack(weights), np.stack(biases)


def main():
    draw = np.random.default_rng(5)
    source = [draw.normal(3 * i, 1 + i, (BATCH, SOURCE_HEADS, SEQ, SOURCE_DIM)) for i in range(SOURCE_LAYERS)]
    mixing = draw.normal(size=(SOURCE_HEADS * SOURCE_DIM, HEADS * DIM))
    mixed = (flat(source[0]) @ mixing).reshape(BATCH, SEQ, HEADS, DIM).transpose(0, 2, 1, 3)
    target = mixed + draw.normal(size=mixed.shape)
    tensors = {"source.0": source[0], "source.1": source[1], "target": target}
    for name, layers, penalty in [("one_layer", 1, 0.5), ("two_layers", 2, 30.0)]:
        weight, bias = solution(np.hstack([flat(layer) for layer in source[:layers]]), flat(target), penalty)
        tensors |= {f"{name}.weight": weight[None], f"{name}.bias": bias[None]}
    windows = [each for layer in source for each in behind(layer, 3)]
    weight, bias = solution(np.hstack([flat(each) for each in windows]), flat(target), 4.0)
    tensors |= {"three_slots.weight": weight[None], "three_slots.bias": bias[None]}
    weight, bias = by_head([each for layer in source for each in behind(layer, 2)], target, 2.0)
    tensors |= {"two_slots_by_head.weight": weight, "two_slots_by_head.bias": bias}
    weight, bias = by_head(source, target, 2.0)
    tensors |= {"by_head.weight": weight, "by_head.bias": bias}
    path = Path(__file__).parent / "fixtures" / "ridge.safetensors"
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)


main()
