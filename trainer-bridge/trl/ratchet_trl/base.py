"""Loads what training starts from: a folder in Hugging Face's form, or a GGUF file, whose weights are unpacked."""

import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from ratchet_trl.errors import NoInput


def load_tokenizer(base: Path):
    folder, name = _locate(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **({"gguf_file": name} if name else {}))
    except (OSError, ValueError) as err:
        raise NoInput(f"{base} has no tokenizer: {err}") from err
    if tokenizer.eos_token_id is None:
        raise NoInput(f"{base}: its tokenizer has no end-of-sequence token; a model trained without would never stop")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # never in a target: labels tell padding and end apart
    return tokenizer


def load_model(base: Path):
    """The weights in float32: updates as small as fine-tuning's are lost in bfloat16."""
    folder, name = _locate(base)
    try:
        return _from_gguf(folder, name) if name else _whole(folder)
    except (OSError, ValueError) as err:
        raise NoInput(f"{base} is no model that transformers can load: {err}") from err


def unpack(base: Path, out: Path) -> None:
    """Writes the model in Hugging Face's form; the folder is there whole or not at all."""
    temporary = out.with_name(out.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    load_model(base).save_pretrained(temporary)
    load_tokenizer(base).save_pretrained(temporary)
    temporary.rename(out)


def _whole(folder: Path, **how):
    """A model of which every weight was found: for those that it lacks, transformers makes random ones and only warns."""
    model, found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **how)
    if lacking := sorted(found["missing_keys"]) + sorted(found["mismatched_keys"]):
        raise ValueError(f"it lacks {len(lacking)} weights, {lacking[0]} for one")
    return model


def _from_gguf(folder: Path, name: str):
    packed = _whole(folder, gguf_file=name, quantization_config=GgufConfig(dequantize=True))
    # A model that came from GGUF stays marked as quantised and cannot be saved: its weights move to one that is not.
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(packed.state_dict())
    model.generation_config = packed.generation_config
    return model


def _locate(base: Path) -> tuple[Path, str | None]:
    if (base / "config.json").is_file():
        return base, None
    if base.is_file() and base.suffix == ".gguf":
        return base.parent, base.name
    raise NoInput(f"base {base} is neither a folder with a config.json nor a .gguf file; targets.base names a local path")
