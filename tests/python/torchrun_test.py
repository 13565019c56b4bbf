"""phase2a as torchrun starts it: many processes, one run.

python torchrun_test.py build/release/bin/phase2a
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from support import skip_without

skip_without("torch.distributed.run")

PROGRAM = sys.argv.pop(1)
PATIENCE = 300  # seconds until a run that should have gone on is given up

# Long texts by chance, so that there is time to kill somebody.
RUN = ["--device", "cpu", "--dtype", "float32", "--threads", "1", "--temperature", "1.5", "--trials", "12"]
RESULTS = "phase2a_transfer_results.json"


def arguments(output, *more):
    return [*RUN, "--output", str(output), *more]


def run_alone(output, *more):
    return subprocess.run([PROGRAM, *arguments(output, *more)], capture_output=True, text=True)


def torchrun(output, processes, *options):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    command += ["--nproc-per-node", str(processes), *options, PROGRAM, *arguments(output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def trials_of(output):
    """The trials of the records by what makes them the ones that they are; each may be there once."""
    trials = {}
    for line in (output / "records.jsonl").read_text().splitlines():
        trial = json.loads(line)
        key = trial["test"], trial["condition"], trial["seed"]
        assert key not in trials, f"twice: {key}"
        trials[key] = trial
    return trials


def said(trials):
    return {key: (trial["token_ids"], trial["text"]) for key, trial in trials.items()}


def spoken_otherwise(trials, others):
    """Which trials say something else than the same of another run, each at a choice that rounding decides, as both count it."""
    found = {key for key in trials if said(trials)[key] != said(others)[key]}
    assert all(each[key]["close_calls"] for key in found for each in (trials, others)), f"without a close choice: {found}"
    return found


def lines_in(file):
    return file.read_text().count("\n") if file.exists() else 0


def processes_of_ranks(parent):
    """The ranks' processes of a torchrun, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = [value[5:] for value in variables if value.startswith(b"RANK=")]
        if rank and int(status[1]) == parent and status[0] != "Z":
            found[int(rank[0])] = int(folder.name)
    return found


def almost_equal(a, b):
    """How many choices were close is no sum, but rounding decides on it where one is as close as that."""
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) < 1e-4
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(almost_equal(a[key], b[key]) for key in a if key != "close_calls")
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(almost_equal, a, b))
    return a == b


class TorchrunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.scratch.name)
        cls.alone = cls.folder / "alone"
        outcome = run_alone(cls.alone)
        assert outcome.returncode == 0, outcome.stderr
        cls.trials = trials_of(cls.alone)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def assert_same_as_alone(self, output):
        trials = trials_of(output)
        self.assertEqual(trials.keys(), self.trials.keys())
        apart = spoken_otherwise(trials, self.trials)
        self.assertLessEqual(len(apart), 2)  # of hundreds: draws as near to a boundary as that are rare
        tests = [json.loads((folder / RESULTS).read_text())["tests"] for folder in (self.alone, output)]
        cells = [{(test["name"], id): cell for test in each for id, cell in test["conditions"].items()} for each in tests]
        self.assertEqual(cells[0].keys(), cells[1].keys())
        for cell in cells[0].keys() - {key[:2] for key in apart}:
            self.assertTrue(almost_equal(cells[0][cell], cells[1][cell]), cell)
        self.assertEqual(list(output.glob("records.rank-*")), [])

    def test_many_processes_say_what_one_says(self):
        for processes in (2, 8):
            with self.subTest(processes=processes):
                output = self.folder / f"by {processes}"
                group = torchrun(output, processes)
                text, _ = group.communicate(timeout=PATIENCE)
                self.assertEqual(group.returncode, 0, text)
                self.assert_same_as_alone(output)
                cost = json.loads((output / "summary.json").read_text())["cost"]
                self.assertEqual(cost["processes"], processes)
                self.assertEqual(cost["trials"], len(self.trials))
                self.assertEqual(text.count("Written: "), 1, text)

    def wait_for_first_trials(self, output, ranks, group):
        begin = time.monotonic()
        while not all(lines_in(output / f"records.rank-{rank}.jsonl") for rank in ranks):
            self.assertIsNone(group.poll())
            self.assertLess(time.monotonic() - begin, PATIENCE)
            time.sleep(0.002)

    def test_two_of_eight_killed_are_started_again_and_nothing_runs_twice(self):
        output = self.folder / "killed"
        group = torchrun(output, 8, "--max-restarts", "2")
        self.wait_for_first_trials(output, (3, 5), group)
        ranks = processes_of_ranks(group.pid)
        kept = {}
        for rank in (3, 5):
            os.kill(ranks[rank], signal.SIGKILL)  # no such process: the run was over too soon to test anything
        for file in output.glob("records.rank-*.jsonl"):
            whole_lines = file.read_text().rpartition("\n")[0]
            kept |= {line: file.name for line in whole_lines.splitlines()}
        text, _ = group.communicate(timeout=PATIENCE)
        self.assertEqual(group.returncode, 0, text)
        self.assert_same_as_alone(output)
        self.assertGreater(len(kept), 0)
        self.assertLess(len(kept), len(self.trials))
        # What was finished is there as it was written by then, and was not run again.
        dates = {(trial["test"], trial["condition"], trial["seed"]): trial["date"] for trial in map(json.loads, kept)}
        records = trials_of(output)
        self.assertEqual({key: records[key]["date"] for key in dates}, dates)
        cost = json.loads((output / "summary.json").read_text())["cost"]
        self.assertLessEqual(cost["trials"], len(self.trials) - len(kept))

    def test_a_group_that_is_lost_is_gone_on_with_by_one_process(self):
        output = self.folder / "lost"
        group = torchrun(output, 4, "--max-restarts", "0")
        self.wait_for_first_trials(output, (1, 2), group)
        os.kill(processes_of_ranks(group.pid)[1], signal.SIGKILL)
        text, _ = group.communicate(timeout=PATIENCE)
        self.assertNotEqual(group.returncode, 0)
        self.assertIn("--resume goes on from here", text)
        self.assertFalse((output / RESULTS).exists())
        self.assertGreater(len(list(output.glob("records.rank-*.jsonl"))), 0)
        outcome = run_alone(output, "--resume")
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        self.assert_same_as_alone(output)
        cost = json.loads((output / "summary.json").read_text())["cost"]
        self.assertLess(cost["trials"], len(self.trials))


if __name__ == "__main__":
    unittest.main()
