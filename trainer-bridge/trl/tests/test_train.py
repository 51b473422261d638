"""Whole jobs, as the driver starts them."""

import signal
import subprocess

import pytest
import torch
from conftest import EXAMPLES, arguments, files, reports, train, write_mixture
from transformers import AutoModelForCausalLM, AutoTokenizer

from ratchet_trl import errors


@pytest.fixture(scope="module")
def undisturbed(base, tmp_path_factory):
    """A job and what it left."""
    folder = tmp_path_factory.mktemp("undisturbed")
    manifest = write_mixture(folder / "mixture", EXAMPLES[:6], EXAMPLES[6:])
    done = train(base, manifest, folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out", done


def test_a_job_reports_and_leaves_a_model(undisturbed, base):
    out, done = undisturbed
    lines = reports(done.stdout)
    steps = [line for line in lines if line.get("done")]
    assert [s["done"] for s in steps] == list(range(1, 13))
    assert all(s["total"] == 12 and s["tokens_per_second"] > 0 and s["eta_seconds"] >= 0 for s in steps)
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.2
    assert not [p for p in out.iterdir() if p.name.startswith(".")], "the state of the job is gone"
    model = AutoModelForCausalLM.from_pretrained(out)
    assert AutoTokenizer.from_pretrained(out).eos_token == "<end>"
    before = AutoModelForCausalLM.from_pretrained(base)
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


def test_the_same_job_gives_the_same_bytes(undisturbed, base, manifest, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert train(base, manifest, again).returncode == 0
    assert files(again) == files(undisturbed[0])
    assert train(base, manifest, other, "--seed", "8").returncode == 0
    assert files(other)["model.safetensors"] != files(again)["model.safetensors"]


def test_only_targets_are_learnt(base, tmp_path):
    """The loss of the first step is that of the completions and their ends alone, computed by hand."""
    manifest = write_mixture(tmp_path / "m", EXAMPLES[:2])
    done = train(base, manifest, tmp_path / "out", "--epochs", "1")
    first = next(r for r in reports(done.stdout) if r.get("done") == 1)
    assert first["loss"] == pytest.approx(_loss(base, EXAMPLES[:2]), rel=1e-4)


def _loss(base, examples) -> float:
    """The mean negative log-probability of the tokens of the completions and their ends, computed by hand."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    total, count = 0.0, 0
    for e in examples:
        prompt = tokenizer(e["prompt"])["input_ids"]
        target = [*tokenizer(e["completion"])["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            scores = model(torch.tensor([prompt + target])).logits[0].log_softmax(-1)
        total -= sum(scores[len(prompt) - 1 + i, t].item() for i, t in enumerate(target))
        count += len(target)
    return total / count


def interrupt(base, manifest, out, number, after: int, *extra) -> subprocess.Popen:
    """Starts a job and sends it a signal when it has reported a step."""
    process = subprocess.Popen(arguments(base, manifest, out, *extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if f'"done": {after},' in line:
            process.send_signal(number)
            break
    process.communicate(timeout=120)
    return process


@pytest.mark.parametrize("after", [1, 5, 11])
def test_killed_and_started_again_it_gives_the_same_bytes(undisturbed, base, manifest, tmp_path, after):
    out = tmp_path / "out"
    killed = interrupt(base, manifest, out, signal.SIGKILL, after, "--save-every", "2")
    assert killed.returncode == -signal.SIGKILL
    assert not files(out), "an unfinished job has left something for a model"
    done = train(base, manifest, out, "--save-every", "2")
    assert done.returncode == 0, done.stderr
    assert ("going on from" in done.stdout) == (after > 2)
    assert files(out) == files(undisturbed[0])


def test_sigterm_saves_and_the_next_start_goes_on_there(undisturbed, base, manifest, tmp_path):
    out = tmp_path / "out"
    stopped = interrupt(base, manifest, out, signal.SIGTERM, 5, "--save-every", "1000")
    assert stopped.returncode == errors.STOPPED
    assert not files(out)
    done = train(base, manifest, out, "--save-every", "1000")
    assert done.returncode == 0, done.stderr
    step = next(r for r in reports(done.stdout) if r.get("done"))["done"]
    assert step in (6, 7), "it went on after the last finished step"
    assert files(out) == files(undisturbed[0])


def test_lora(base, manifest, tmp_path):
    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    done = train(base, manifest, adapter, "--lora-rank", "4")
    assert done.returncode == 0, done.stderr
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(files(adapter))
    assert "model.safetensors" not in files(adapter)
    interrupt(base, manifest, merged, signal.SIGKILL, 5, "--lora-rank", "4", "--merge", "--save-every", "2")
    done = train(base, manifest, merged, "--lora-rank", "4", "--merge", "--save-every", "2")
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout

    from peft import PeftModel

    whole = AutoModelForCausalLM.from_pretrained(merged)
    parts = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    ids = torch.arange(40).unsqueeze(0)
    assert torch.allclose(whole(ids).logits, parts(ids).logits, atol=1e-4)


def test_bfloat16_and_what_is_written(base, manifest, tmp_path):
    done = train(base, manifest, tmp_path / "out", "--precision", "bfloat16", "--save-dtype", "float16", "--microbatch", "2",
                 "--activation-checkpointing")
    assert done.returncode == 0, done.stderr
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").dtype == torch.float16


@pytest.mark.parametrize(("change", "code", "want"), [
    (dict(base="/no/such/model"), errors.NO_INPUT, "neither a folder with a config.json nor a .gguf file"),
    (dict(manifest="/no/such/manifest.json"), errors.NO_INPUT, "read manifest"),
    (dict(extra=["--max-length", "20"]), errors.DATA, "12 of 12 examples are longer"),
])
def test_what_no_repetition_can_mend(base, manifest, tmp_path, change, code, want):
    done = train(change.get("base", base), change.get("manifest", manifest), tmp_path / "out", *change.get("extra", []))
    assert done.returncode == code
    assert want in done.stderr
    assert not files(tmp_path / "out")
