"""What is read from a model is how it rotates: for small random models of every family, the frequencies of its last forward
pass bit for bit, and moved keys that equal a prefill at the new positions."""

import copy
import unittest

from support import skip_without

skip_without("transformers")

import make_fixtures as fixtures  # of tests/rope
import torch

import kvtransfer_torch as kvtransfer

kvtransfer.load()
torch.set_num_threads(1)

REFUSED = {
    "hunyuan": "weighted norm after RoPE",
    "hunyuan ntk_alpha": "weighted norm after RoPE",
    "deepseek_v2": "latent attention",
    "deepseek_v3": "latent attention",
    "ernie4_5_vl": "not in the order of its pairs",
}
WITHOUT_ROPE = {"cohere2": [3], "llama4": [3], "smollm3": [3], "exaone4": [3]}  # of four layers each
INTERLEAVED = {"glm", "cohere", "cohere2", "ernie4_5", "helium", "gptj", "codegen", "llama4", "glm4v"}


def families():
    for seed, (name, given) in enumerate(fixtures.FAMILIES.items()):
        yield name, fixtures.build(*given, seed)[1]


class RotaryTest(unittest.TestCase):
    def test_every_family(self):
        for name, model in families():
            with self.subTest(name):
                if name in REFUSED:
                    with self.assertRaisesRegex(ValueError, REFUSED[name]):
                        kvtransfer.rotary_of(model)
                    continue
                self.assertLess(kvtransfer.check_moves(model), 5e-5)
                self.check_reading(name, model)

    def check_reading(self, name, model):
        for layer, rotary in enumerate(kvtransfer.rotary_of(model)):
            self.assertEqual(rotary is None, layer in WITHOUT_ROPE.get(name, []))
            if rotary is not None:
                inv_freq, scaling = fixtures.regime(model, layer)
                self.assertTrue(torch.equal(rotary.inv_freq, inv_freq))
                self.assertEqual(rotary.attention_scaling, scaling)
                self.assertEqual(rotary.interleaved, name in INTERLEAVED)
                self.assertEqual(rotary.streams, 3 if name in fixtures.THREE_STREAMS else 1)

    def test_frequencies_of_a_length_are_those_of_a_prefill_of_it(self):
        for name in ("llama dynamic", "phi3 longrope", "llama yarn", "gemma3"):
            _, model = fixtures.build(*fixtures.FAMILIES[name], 0)
            for length in (6, 300):
                asked = kvtransfer.rotary_of(model, length=length)
                fixtures.run(model, torch.arange(3, 9)[None], torch.arange(length - 6, length)[None])
                for rotary, then in zip(asked, kvtransfer.rotary_of(model)):
                    self.assertTrue(torch.equal(rotary.inv_freq, then.inv_freq), (name, length))

    def test_asking_for_a_length_changes_nothing_in_the_model(self):
        _, model = fixtures.build(*fixtures.FAMILIES["llama dynamic"], 0)
        before = kvtransfer.rotary_of(model)[0].inv_freq.clone()
        kvtransfer.rotary_of(model, length=1000)
        self.assertTrue(torch.equal(kvtransfer.rotary_of(model)[0].inv_freq, before))

    def test_a_model_that_turns_otherwise_than_its_file_says_is_noticed(self):
        _, model = fixtures.build(*fixtures.FAMILIES["llama"], 0)
        kvtransfer.check_moves(model)
        model.rotary_emb.register_forward_hook(lambda module, inputs, tables: (tables[0], -tables[1]))
        with self.assertRaisesRegex(AssertionError, "check_moves"):
            kvtransfer.check_moves(model)

    def test_models_without_rope_are_refused(self):
        from transformers import GPT2Config, GPT2Model

        with self.assertRaisesRegex(ValueError, "no rotary embedding"):
            kvtransfer.rotary_of(GPT2Model(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=16)))

    def test_a_model_type_that_is_not_known_is_refused_unless_its_conventions_are_named(self):
        _, model = fixtures.build(*fixtures.FAMILIES["llama"], 0)
        model.config.model_type = "someones_own"
        with self.assertRaisesRegex(ValueError, "expected one of afmoe, .* got 'someones_own'"):
            kvtransfer.rotary_of(model)
        self.assertFalse(kvtransfer.rotary_of(model, conventions={})[0].interleaved)
        with self.assertRaisesRegex(ValueError, "rotate other pairs"):
            kvtransfer.rotary_of(model, conventions={"pairing": "interleaved"})


    def test_an_audio_towers_embedding_is_not_the_language_models(self):
        from transformers import GlmAsrConfig, GlmAsrForConditionalGeneration

        tower = dict(model_type="glmasr_encoder", hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
        text = dict(model_type="llama", rope_theta=500.0, vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2)
        text |= dict(num_attention_heads=2, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2)
        model = GlmAsrForConditionalGeneration(GlmAsrConfig(audio_config=tower | dict(num_mel_bins=8), text_config=text))
        embeddings = {name: module for name, module in model.named_modules() if name.endswith("rotary_emb")}
        self.assertEqual(list(embeddings), ["model.audio_tower.rotary_emb", "model.language_model.rotary_emb"])
        tower, own = (module.inv_freq for module in embeddings.values())
        self.assertFalse(torch.equal(tower[: len(own)], own[: len(tower)]))
        for rotary in kvtransfer.rotary_of(model):
            self.assertTrue(torch.equal(rotary.inv_freq, own))

    def test_several_embeddings_in_one_language_model_are_refused_unless_they_are_alike(self):
        _, model = fixtures.build(*fixtures.FAMILIES["llama"], 0)
        expected = kvtransfer.rotary_of(model)[0]
        model.another = copy.deepcopy(model.rotary_emb)
        self.assertTrue(kvtransfer.rotary_of(model)[0].equals(expected))
        model.another.inv_freq *= 2
        with self.assertRaisesRegex(ValueError, "got several that differ: rotary_emb, another"):
            kvtransfer.rotary_of(model)

    def test_frequencies_without_numbers_are_refused(self):
        _, model = fixtures.build(*fixtures.FAMILIES["llama"], 0)
        for length in (None, 300):
            with self.assertRaisesRegex(ValueError, "rotary_of: inv_freq: expected numbers, got a tensor on meta"):
                kvtransfer.rotary_of(copy.deepcopy(model).to("meta"), length=length)
        offloaded = copy.deepcopy(model)  # as accelerate leaves a module between two forward passes
        offloaded.rotary_emb.register_buffer("inv_freq", offloaded.rotary_emb.inv_freq.to("meta"), persistent=False)
        with self.assertRaisesRegex(ValueError, "offloaded"):
            kvtransfer.rotary_of(offloaded)
        model.rotary_emb.inv_freq[1] = float("inf")  # as after to_empty
        with self.assertRaisesRegex(ValueError, "finite numbers, got inf"):
            kvtransfer.rotary_of(model)


if __name__ == "__main__":
    unittest.main()
