"""Makes tests/model/fixtures/scores.safetensors: what transformers gives for score.hpp and attention_mass.hpp.

    .venv/bin/python tests/model/make_score_fixture.py

Of each model folder below, in fp32 on the CPU, eager attention, over the text "source target continuation" in one pass
(source.ids and target.ids of the folder's expected.safetensors):

    NAME.continuation     [C]                 token ids: half of what greedy decoding adds, then others
    NAME.foil             [C]                 the same with another first token
    NAME.log_probs        [C]                 of the continuation's tokens
    NAME.foil.log_probs   [C]
    NAME.alone.log_probs  [C]                 of the continuation's tokens without the source in front of the target
    NAME.divergence       [C]                 Kullback-Leibler divergence, in nats, of what is expected without the
                                              source from what is expected with it, in front of each token
    NAME.mass.last        [layers, q_heads]   attention of the target's last token to the source
    NAME.mass.all         [layers, q_heads]   the mean over the target's tokens
"""

import pathlib

import safetensors.torch
import torch
import transformers

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
FOLDERS = ["gqa-tied-fp32", "architectures/gemma2", "architectures/smollm3", "architectures/qwen3"]


@torch.no_grad()
def expected(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                              attn_implementation="eager").eval()
    known = safetensors.torch.load_file(folder / "expected.safetensors")
    source, target, greedy = known["source.ids"], known["target.ids"], known["injected.greedy"]
    continuation = torch.cat([greedy[:4], torch.tensor([7, 50, 3])])
    foil = continuation.clone()
    foil[0] = (foil[0] + 1) % model.config.vocab_size

    def ahead(front, text):
        """Log-probabilities [C, vocab] in front of each token of `text`."""
        logits = model(input_ids=torch.cat([front, text])[None]).logits[0]
        return torch.log_softmax(logits[len(front) - 1:-1], -1)

    def of_tokens(log_probs, text):
        return log_probs.gather(1, text[:, None])[:, 0]

    behind = torch.cat([source, target])
    with_source, alone = ahead(behind, continuation), ahead(target, continuation)
    attentions = torch.stack(model(input_ids=behind[None], output_attentions=True).attentions)[:, 0]
    mass = attentions[:, :, len(source):, :len(source)].sum(-1)  # [layers, q_heads, target]
    return {
        "continuation": continuation, "foil": foil,
        "log_probs": of_tokens(with_source, continuation),
        "foil.log_probs": of_tokens(ahead(behind, foil), foil),
        "alone.log_probs": of_tokens(alone, continuation),
        "divergence": torch.nn.functional.kl_div(alone, with_source, log_target=True, reduction="none").sum(-1),
        "mass.last": mass[..., -1], "mass.all": mass.mean(-1),
    }


def main():
    tensors = {}
    for name in FOLDERS:
        for key, value in expected(FIXTURES / name).items():
            tensors[f"{name.split('/')[-1]}.{key}"] = value.contiguous()
    safetensors.torch.save_file(tensors, FIXTURES / "scores.safetensors")


if __name__ == "__main__":
    main()
