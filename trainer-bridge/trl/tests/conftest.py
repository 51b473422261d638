"""A model of random weights that is small enough to train in a second, and mixtures; nothing is downloaded."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

EXAMPLES = [
    {
        "prompt": f"ORIGINAL_QUESTION: str = 'Who founded company {i}?'\nREMAINING_SEARCHES: int = {i % 4}\n# Step: decision\n",
        "completion": f"ActionWrapper(thoughts=\"I look.\", action=Search(query='founder of company {i}'))  # [END]",
        "id": f"run.1.own.grow.q-{i}.0", "step": 0, "kind": "decision",
    }
    for i in range(12)
]


def make_base(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bpe.train_from_iterator([e["prompt"] + e["completion"] for e in EXAMPLES], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", eos_token="<end>")
    set_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


def write_mixture(folder: Path, *parts, **changes) -> Path:
    """A manifest as trainer-bridge writes it, beside its parts."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for i, part in enumerate(parts):
        lines = part["lines"] if isinstance(part, dict) else part
        data = b"".join(e if isinstance(e, bytes) else json.dumps(e).encode() + b"\n" for e in lines)
        sha = hashlib.sha256(data).hexdigest()
        name = f"part-{i:05}-{sha[:16]}.jsonl"
        (folder / name).write_bytes(data)
        entry = {"key": f"mixtures/run/1/{name}", "size": len(data), "sha256": sha, "examples": len(lines), "improve": 1}
        entries.append(entry | (part.get("entry", {}) if isinstance(part, dict) else {}))
    manifest = {"version": 1, "run": "run", "parts": entries, "examples": sum(e["examples"] for e in entries)} | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder / "manifest.json"


@pytest.fixture
def manifest(tmp_path) -> Path:
    return write_mixture(tmp_path / "mixture", EXAMPLES[:6], EXAMPLES[6:])


def arguments(base, manifest, out, *extra) -> list[str]:
    return [sys.executable, "-m", "ratchet_trl", "train", "--base", str(base), "--manifest", str(manifest), "--out", str(out),
            "--seed", "7", "--epochs", "2", "--batch", "2", "--learning-rate", "1e-3", "--threads", "1", *extra]


def train(base, manifest, out, *extra) -> subprocess.CompletedProcess:
    return subprocess.run(arguments(base, manifest, out, *extra), capture_output=True, text=True, timeout=300)


def reports(stdout: str) -> list[dict]:
    return [json.loads(line) for line in stdout.splitlines()]


def files(out: Path) -> dict[str, str]:
    """What the bridge would take for the checkpoint."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir() if not p.name.startswith(".")}
