"""The parts that need no training."""

import json
from collections import Counter

import pytest
from conftest import EXAMPLES, write_mixture

from ratchet_trl import errors, mixture, tokens
from ratchet_trl.__main__ import main
from ratchet_trl.order import order
from ratchet_trl.state import JobFolder


def examples_of(manifest):
    return list(mixture.read_examples(mixture.read_manifest(manifest)))


def test_parts_come_in_the_order_of_their_improve_steps(tmp_path):
    manifest = write_mixture(
        tmp_path, {"lines": EXAMPLES[:2], "entry": {"improve": 2}}, {"lines": EXAMPLES[2:3], "entry": {"improve": 1}}
    )
    assert [(e.prompt, e.improve) for e in examples_of(manifest)] == [
        (EXAMPLES[2]["prompt"], 1), (EXAMPLES[0]["prompt"], 2), (EXAMPLES[1]["prompt"], 2)]


BAD = [
    ([b"{broken\n"], {}, {}, "expected JSON with prompt and completion"),
    ([b"\xff\xfe\n"], {}, {}, "expected JSON"),
    ([{"prompt": "p"}], {}, {}, "completion"),
    ([b"[]\n"], {}, {}, "expected JSON"),
    ([{"prompt": "p", "completion": ""}], {}, {}, "not empty"),
    ([{"prompt": [{"role": "user"}], "completion": "c"}], {}, {}, "must be strings"),
    (EXAMPLES[:2], {"sha256": "00"}, {}, "SHA-256"),
    (EXAMPLES[:2], {"examples": 3}, {}, "has 2 examples, the manifest says 3"),
    (EXAMPLES[:2], {}, {"version": 2}, "version 1"),
    (EXAMPLES[:2], {}, {"examples": 0, "reason": "nothing completed"}, "nothing completed"),
    (EXAMPLES[:2], {}, {"parts": [{}]}, "lacks 'key'"),
]


@pytest.mark.parametrize(("lines", "entry", "changes", "want"), BAD)
def test_a_bad_mixture_is_named(tmp_path, lines, entry, changes, want):
    with pytest.raises(errors.BadMixture, match=want.replace("(", r"\(")):
        examples_of(write_mixture(tmp_path, {"lines": lines, "entry": entry}, **changes))


def test_a_manifest_that_is_not_json(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(errors.BadMixture, match="expected JSON"):
        mixture.read_manifest(tmp_path / "manifest.json")
    with pytest.raises(errors.NoInput):
        mixture.read_manifest(tmp_path / "none.json")


@pytest.fixture(scope="module")
def tokenizer(base):
    from ratchet_trl.base import load_tokenizer

    return load_tokenizer(base)


def test_a_target_is_kept_whole_and_ends(tokenizer):
    tally = tokens.Tally()
    example = mixture.Example(EXAMPLES[0]["prompt"], EXAMPLES[0]["completion"], 1)
    (row,) = tokens.rows(tokenizer, [example], 0, "error", tally)
    target = [label for label in row["labels"] if label != tokens.IGNORED]
    assert target[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(target[:-1]) == example.completion
    assert row["input_ids"][: -len(target)] == tokenizer(example.prompt)["input_ids"]
    assert (tally.tokens, tally.targets) == (len(row["input_ids"]), len(target))


def test_overlong_examples(tokenizer):
    short, long = (mixture.Example(p, "yes # [END]", 1) for p in ("Is it?\n", "Is it? " * 50 + "\n"))
    limit = 40
    for overflow, kept in {"error": 1, "drop": 1, "cut": 2}.items():
        tally = tokens.Tally()
        got = list(tokens.rows(tokenizer, [short, long], limit, overflow, tally))
        assert (len(got), tally.kept, tally.overlong) == (kept, kept, 1)
        assert all(len(r["input_ids"]) <= limit and r["labels"][-1] == tokenizer.eos_token_id for r in got)
        if overflow == "error":
            with pytest.raises(errors.BadMixture, match="1 of 2 examples are longer than --max-length 40"):
                tokens.check(tally, limit, overflow)
        else:
            tokens.check(tally, limit, overflow)
    tally = tokens.Tally()  # a target that fills the limit is not cut
    assert not list(tokens.rows(tokenizer, [long], 3, "cut", tally))
    with pytest.raises(errors.BadMixture, match="no example is left"):
        tokens.check(tally, 3, "cut")


def test_order_takes_each_example_once_an_epoch():
    got = order(Counter({1: 5, 2: 3}), 2, 7)
    assert sorted(got[:5]) == sorted(got[5:10]) == [0, 1, 2, 3, 4]
    assert sorted(got[10:13]) == sorted(got[13:]) == [5, 6, 7]
    assert got == order(Counter({1: 5, 2: 3}), 2, 7) != order(Counter({1: 5, 2: 3}), 2, 8)
    assert got[:5] != got[5:10]
    assert len(order(Counter({1: 10}), 0.5, 7)) == 5
    assert len(order(Counter({1: 10}), 1.5, 7)) == 15


def test_half_written_state_is_not_used(tmp_path):
    job = JobFolder(tmp_path)
    for step in (9, 10, 11):
        (job.path / f"checkpoint-{step}").mkdir()
        if step < 11:
            job.mark(step)
    assert job.last_checkpoint().name == "checkpoint-10"
    assert not (job.path / "checkpoint-11").exists()
    job.fresh("model.tmp")
    assert not job.finished


def test_publishing_goes_on_after_a_crash(tmp_path):
    job = JobFolder(tmp_path)
    job.write_model(lambda f: [(f / n).write_text(n) for n in ("a", "b")])
    (job.path / "model" / "a").rename(tmp_path / "a")  # as far as the first start came
    again = JobFolder(tmp_path)
    assert again.finished
    again.publish()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(("extra", "want"), [
    (["--batch", "3", "--microbatch", "2"], "not a multiple"),
    (["--epochs", "0"], "above 0"),
    (["--overflow", "ignore"], "invalid choice"),
    (["--nonsense"], "unrecognized"),
])
def test_wrong_flags(capsys, extra, want):
    with pytest.raises(SystemExit) as end:
        main(["train", "--base", "b", "--manifest", "m", "--out", "o", *extra])
    assert end.value.code == errors.USAGE
    assert want in capsys.readouterr().err
