"""Which elements of a head a model rotates together, asked of the model's own function."""

import sys

import torch

# What a rotate-half function makes of (1, 2, 3, 4): interleaved or not, and which way round.
_SEEN = {
    (-3.0, -4.0, 1.0, 2.0): (False, 1),
    (3.0, 4.0, -1.0, -2.0): (False, -1),  # nanochat
    (-2.0, 1.0, -4.0, 3.0): (True, 1),
}

# Models that rotate pairs without such a function.
_BY_TYPE = {"gpt_oss": (False, 1), "llama4_text": (True, 1)}


def pairing_of(module: torch.nn.Module, model_type: str) -> tuple[bool, int]:
    """(interleaved, sign of the angle) of the modeling file that `module` is defined in.

    Raises ValueError where it has no function to ask, or one that does something else.
    """
    file = sys.modules[type(module).__module__]
    # A file with a vision tower may hold two; the language model's is then called rotate_half_llm.
    names = ("rotate_half_llm", "rotate_half", "rotate_every_two")
    rotate = next((getattr(file, name) for name in names if hasattr(file, name)), None)
    if rotate is None:
        answer = _BY_TYPE.get(model_type)
    else:
        answer = _SEEN.get(tuple(rotate(torch.arange(1.0, 5.0).view(1, 1, 1, 4)).flatten().tolist()))
    if answer is None:
        raise ValueError(f"rotary_of: {model_type}: it is not known which elements of a head it rotates together")
    return answer
