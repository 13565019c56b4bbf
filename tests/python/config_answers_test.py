"""Every configuration of tests/rope/fixtures, read by Python as transformers applies it: the answers that C++ is tested against."""

import json
import unittest

from support import CHECKOUT, skip_without

skip_without("transformers")

import make_config_fixtures as fixtures  # of tests/rope
import torch
import transformers_rotary

import kvtransfer_torch as kvtransfer
from kvtransfer_torch.architectures import conventions_of

torch.set_num_threads(1)
FOLDER = CHECKOUT / "tests" / "rope" / "fixtures"
# What cannot be moved as plain keys, and is refused by name where C++ describes it.
REFUSED = {"latent attention", "not in the order of its pairs", "weighted norm after RoPE", "a base each, or no positions at all"}


def lines(name):
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


class ConfigAnswersTest(unittest.TestCase):
    def test_every_configuration_that_transformers_reads(self):
        answers = json.loads((FOLDER / "config_answers.json").read_text())["answers"]
        read = 0
        for file, of_file in answers.items():
            for request, answer in zip(lines(file), of_file, strict=True):
                if "error" not in answer:
                    with self.subTest(file, name=answer["name"]):
                        read += self.check(request["config"], answer["lengths"])
        self.assertGreater(read, 20)

    def check(self, config, lengths) -> bool:
        """False where it is refused."""
        model = transformers_rotary.build(config | fixtures.SMALLER.get(config.get("model_type"), {}))
        for at_length in lengths:
            try:
                every = kvtransfer.rotary_of(model, length=at_length["length"])
            except ValueError as refusal:
                self.assertTrue(any(each in str(refusal) for each in REFUSED), str(refusal))
                return False
            self.assertEqual(len(every), len(at_length["layers"]))
            for rotary, expected in zip(every, at_length["layers"]):
                self.assertEqual(rotary is not None, expected["rotates"])
                if rotary is not None:
                    self.assertEqual(2 * len(rotary.inv_freq), expected["rotary_dim"])
                    self.assertEqual(rotary.interleaved, expected["pairing"] == "interleaved")
                    self.assertAlmostEqual(rotary.attention_scaling, expected["attention_scaling"], places=6)
                    torch.testing.assert_close(rotary.inv_freq, torch.tensor(expected["inv_freq"]), rtol=3e-7, atol=0)
        return True

    def test_model_types_that_are_not_known_are_refused_with_those_that_are(self):
        for request in lines("unknown_model_types.jsonl"):
            with self.subTest(request["name"]):
                try:
                    known = conventions_of(request["config"].get("model_type", ""))
                except ValueError as refusal:
                    self.assertRegex(str(refusal), "expected one of afmoe|no rotary embedding that could be moved")
                else:
                    self.assertTrue(known, "an entry that says nothing would be Llama's")


if __name__ == "__main__":
    unittest.main()
