"""What training may start from."""

import json
import shutil
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ratchet_trl import errors
from ratchet_trl.base import load_model, load_tokenizer, unpack


def write_gguf(base: Path, file: Path) -> Path:
    """The model as llama.cpp's converter writes a llama: names of its own, and the rows of q and k in another order."""
    model = AutoModelForCausalLM.from_pretrained(base)
    c, w = model.config, gguf.GGUFWriter(file, "llama")
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_vocab_size(c.vocab_size)
    bpe = json.loads((base / "tokenizer.json").read_text())
    tokens = sorted(bpe["model"]["vocab"], key=bpe["model"]["vocab"].get)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in ("<pad>", "<end>") else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["model"]["merges"]])
    w.add_eos_token_id(tokens.index("<end>"))
    w.add_pad_token_id(tokens.index("<pad>"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        heads = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}.get(name.split(".")[-2])
        if heads:
            rows = tensor.shape[0]
            tensor = tensor.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(rows, -1)
        w.add_tensor(names.get_name(name, (".weight",)), tensor.numpy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return file


def test_a_gguf_file_is_the_same_model(base, tmp_path):
    file = write_gguf(base, tmp_path / "model.gguf")
    ids = torch.arange(2, 60).unsqueeze(0)
    want = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    assert torch.allclose(load_model(file)(ids).logits, want, atol=1e-5)
    text = "ORIGINAL_QUESTION: str = 'Who?'\n"
    assert load_tokenizer(file)(text)["input_ids"] == AutoTokenizer.from_pretrained(base)(text)["input_ids"]
    assert load_tokenizer(file).eos_token == "<end>"

    unpack(file, tmp_path / "folder")  # it can be saved, which a model read from GGUF cannot
    assert torch.allclose(load_model(tmp_path / "folder")(ids).logits, want, atol=1e-5)


def test_a_base_that_lacks_a_weight(base, tmp_path):
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    weights = load_file(base / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(errors.NoInput, match="lacks 1 weights, model.layers.1.mlp.up_proj.weight"):
        load_model(tmp_path)


def test_a_base_without_an_end(base, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    with pytest.raises(errors.NoInput, match="no end-of-sequence token"):
        load_tokenizer(tmp_path)


def test_a_folder_without_weights(base, tmp_path):
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    with pytest.raises(errors.NoInput, match="no model that transformers can load"):
        load_model(tmp_path)
