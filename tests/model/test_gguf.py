"""A checkpoint's language part as a GGUF: its values, its continuation after a kill, and what is refused."""

import hashlib
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from omnireel.errors import CheckpointError, OmnireelError
from omnireel.model.checkpoint.gguf import writer
from omnireel.model.checkpoint.gguf.check import check_language
from omnireel.model.checkpoint.gguf.container import FORMATS, header_bytes, read_header
from omnireel.model.checkpoint.gguf.embeddings import GgufEmbeddings
from omnireel.model.checkpoint.gguf.formats import Recipe
from omnireel.model.checkpoint.gguf.layout import metadata, parts, vocabulary
from omnireel.model.checkpoint.gguf.source import Source
from omnireel.model.checkpoint.gguf.writer import Plan, write_gguf
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.checkpoint.quantized import FP8, NVFP4, Nvfp4Linear
from omnireel.model.config import read_config
from tools.quantize_checkpoint import quantize_checkpoint
from tools.scaled_checkpoint import Sizes, write_checkpoint


def plan_of(directory, recipe, **changes):
    config = read_config(directory).language
    values = metadata(config, "test", vocabulary(directory, config.vocab_size)) | changes
    return Plan(values, recipe.plan(parts(config), config.num_experts))


def write(directory, path, recipe, on_bytes=lambda done, total: None, **changes):
    with Source(directory) as source:
        return write_gguf(path, source, plan_of(directory, recipe, **changes), on_bytes)


def values_of(entry):
    """A tensor in fp32, by the format's definition."""
    raw = np.fromfile(entry.path, np.uint8, entry.num_bytes, offset=entry.offset)
    if entry.format.name == "f32":
        return raw.view(np.float32).reshape(entry.shape)
    assert entry.format.name == "bf16"
    return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(entry.shape)


@pytest.fixture(scope="module")
def plain(written, tmp_path_factory):
    """The random checkpoint as a GGUF in fp32."""
    path = tmp_path_factory.mktemp("gguf") / "plain.gguf"
    write(written, path, Recipe("f32", "f32"))
    return path


def expected(model, name):
    """A tensor of the GGUF, made from the loaded model by the rules of llama.cpp's converter."""
    layers = model.language_model.backbone.layers
    kind, _, rest = name.partition(".")
    if kind != "blk":
        backbone = model.language_model.backbone
        table = {
            "token_embd": backbone.embeddings,
            "output_norm": backbone.norm_f,
            "output": model.language_model.lm_head,
        }
        return table[kind].weight
    number, _, leaf = rest.partition(".")
    layer = layers[int(number)]
    mixer = layer.mixer
    matrix = {
        "attn_norm.weight": lambda: layer.norm.weight,
        "ssm_in.weight": lambda: mixer.in_proj.weight,
        "ssm_conv1d.weight": lambda: mixer.conv1d.weight[:, 0],
        "ssm_conv1d.bias": lambda: mixer.conv1d.bias,
        "ssm_dt.bias": lambda: mixer.dt_bias,
        "ssm_a": lambda: -mixer.A_log.exp()[:, None],
        "ssm_d": lambda: mixer.D[:, None],
        "ssm_norm.weight": lambda: mixer.norm.weight.view(mixer.config.num_groups, -1),
        "ssm_out.weight": lambda: mixer.out_proj.weight,
        "attn_q.weight": lambda: mixer.q_proj.weight,
        "attn_k.weight": lambda: mixer.k_proj.weight,
        "attn_v.weight": lambda: mixer.v_proj.weight,
        "attn_output.weight": lambda: mixer.o_proj.weight,
        "ffn_gate_inp.weight": lambda: mixer.gate.weight,
        "exp_probs_b.bias": lambda: mixer.gate.e_score_correction_bias,
        "ffn_up_exps.weight": lambda: torch.stack([e.up_proj.weight for e in mixer.experts]),
        "ffn_down_exps.weight": lambda: torch.stack([e.down_proj.weight for e in mixer.experts]),
        "ffn_up_shexp.weight": lambda: mixer.shared_experts.up_proj.weight,
        "ffn_down_shexp.weight": lambda: mixer.shared_experts.down_proj.weight,
    }
    return matrix[leaf]()


def test_every_tensor_has_the_values_of_the_checkpoint(plain, written, model):
    header = check_language(plain, read_config(written).language, written)
    for name, entry in header.tensors.items():
        wanted = expected(model, name).numpy()
        assert values_of(entry).shape == wanted.shape, name
        assert np.array_equal(values_of(entry), wanted), name
    assert {entry.offset % 32 for entry in header.tensors.values()} == {0}


def test_bf16_is_rounded_to_the_nearest_and_small_tensors_stay_in_fp32(written, model, tmp_path):
    write(written, tmp_path / "x.gguf", Recipe("bf16", "bf16"))
    tensors = read_header(tmp_path / "x.gguf").tensors
    matrices = [entry for entry in tensors.values() if entry.format.name == "bf16"]
    assert {entry.name for entry in matrices} >= {"token_embd.weight", "blk.1.ffn_up_exps.weight"}
    for entry in matrices:
        assert np.array_equal(values_of(entry), expected(model, entry.name).bfloat16().float().numpy())
    assert tensors["blk.1.ffn_gate_inp.weight"].format.name == "f32"


@pytest.fixture(scope="module", params=[FP8, NVFP4])
def quantized(request, tmp_path_factory):
    """A checkpoint in the layout of the published FP8 or NVFP4 one, with experts that fill NVFP4's blocks."""
    directory = tmp_path_factory.mktemp(request.param)
    write_checkpoint(directory / "plain", Sizes(expert_width=64, num_experts=4))
    quantize_checkpoint(directory / "plain", directory / "packed", request.param)
    return directory / "packed"


def test_a_quantised_checkpoint_is_written_with_its_unpacked_values(quantized, tmp_path):
    model = load_checkpoint(quantized)
    write(quantized, tmp_path / "x.gguf", Recipe("f32", "f32"))
    tensors = read_header(tmp_path / "x.gguf").tensors
    mixer = model.language_model.backbone.layers[1].mixer
    up = torch.stack([expert.up_proj.unpacked() for expert in mixer.experts])
    assert np.array_equal(values_of(tensors["blk.1.ffn_up_exps.weight"]), up.numpy())
    inward = model.language_model.backbone.layers[0].mixer.in_proj.unpacked()
    assert np.array_equal(values_of(tensors["blk.0.ssm_in.weight"]), inward.numpy())


E2M1 = np.float32([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def test_nvfp4_experts_are_repacked_without_a_change(quantized, tmp_path):
    """Read by the definition of GGUF's format: 64 columns, four scales, 16 columns a scale, 8 columns apart a byte."""
    model = load_checkpoint(quantized)
    experts = model.language_model.backbone.layers[1].mixer.experts
    recipe = Recipe("bf16", "nvfp4")
    if not isinstance(experts[0].up_proj, Nvfp4Linear):
        with pytest.raises(CheckpointError, match="is not NVFP4"):
            write(quantized, tmp_path / "x.gguf", recipe)
        return
    write(quantized, tmp_path / "x.gguf", recipe)
    tensors = read_header(tmp_path / "x.gguf").tensors
    for name in ("up", "down"):
        entry = tensors[f"blk.1.ffn_{name}_exps.weight"]
        assert entry.format.name == "nvfp4"
        blocks = np.fromfile(entry.path, np.uint8, entry.num_bytes, offset=entry.offset).reshape(-1, 36)
        scales = torch.from_numpy(blocks[:, :4].copy()).view(torch.float8_e4m3fn).float().numpy()
        codes = blocks[:, 4:].reshape(-1, 4, 8)
        values = np.concatenate([E2M1[codes & 15], E2M1[codes >> 4]], -1) * scales[..., None]
        factors = values_of(tensors[f"blk.1.ffn_{name}_exps.scale"])
        found = values.reshape(entry.shape) * factors[:, None, None]
        wanted = torch.stack([getattr(expert, f"{name}_proj").unpacked() for expert in experts])
        assert np.array_equal(found, wanted.numpy())


def test_rows_of_embeddings_are_those_of_the_table(plain, model, written, tmp_path):
    ids = torch.tensor([0, 5, 319, 5])
    table = model.language_model.backbone.embeddings.weight
    assert torch.equal(GgufEmbeddings(plain)(ids), table[ids])
    write(written, tmp_path / "x.gguf", Recipe("bf16", "bf16"))
    assert torch.equal(GgufEmbeddings(tmp_path / "x.gguf")(ids), table[ids].bfloat16().float())


class KilledError(Exception):
    pass


def stop_at(num_bytes):
    def watch(done, total):
        if done >= num_bytes:
            raise KilledError

    return watch


@pytest.fixture
def often(monkeypatch):
    """The journal is written after every tensor."""
    monkeypatch.setattr(writer, "SAVE_EVERY_BYTES", 1)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_an_interrupted_writing_is_continued_and_gives_the_same_file(often, written, plain, tmp_path, share):
    path, size = tmp_path / "x.gguf", plain.stat().st_size
    with pytest.raises(KilledError):
        write(written, path, Recipe("f32", "f32"), stop_at(share * size))
    assert not path.exists()
    starts = []
    digest = write(written, path, Recipe("f32", "f32"), lambda done, total: starts.append(done))
    assert path.read_bytes() == plain.read_bytes()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert starts[0] > (share - 0.25) * size, "what was saved is not written again"


def test_a_killed_process_leaves_what_the_next_continues(written, plain, tmp_path):
    path = tmp_path / "x.gguf"
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}
from pathlib import Path
from test_gguf import Recipe, write, writer
writer.SAVE_EVERY_BYTES = 1
def watch(done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
write(Path({str(written)!r}), Path({str(path)!r}), Recipe("f32", "f32"), watch)
"""
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert ran.returncode == -signal.SIGKILL
    starts = []
    write(written, path, Recipe("f32", "f32"), lambda done, total: starts.append(done))
    assert path.read_bytes() == plain.read_bytes()
    assert starts[0] > plain.stat().st_size / 4


def test_bytes_that_are_not_those_of_the_journal_are_written_again(often, written, plain, tmp_path):
    path = tmp_path / "x.gguf"
    with pytest.raises(KilledError):
        write(written, path, Recipe("f32", "f32"), stop_at(plain.stat().st_size / 2))
    part = path.with_name("x.gguf.part")
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    part.write_bytes(damaged)
    write(written, path, Recipe("f32", "f32"))
    assert path.read_bytes() == plain.read_bytes()


def test_a_cut_line_of_the_journal_does_no_harm(often, written, plain, tmp_path):
    path = tmp_path / "x.gguf"
    with pytest.raises(KilledError):
        write(written, path, Recipe("f32", "f32"), stop_at(plain.stat().st_size / 2))
    with writer.journal_of(path).open("a") as journal:
        journal.write('{"bytes": 12')
    with pytest.raises(KilledError):
        write(written, path, Recipe("f32", "f32"), stop_at(plain.stat().st_size * 0.8))
    lines = writer.journal_of(path).read_text().splitlines()
    assert '{"bytes": 12' in lines, "the next line is not joined to it"
    write(written, path, Recipe("f32", "f32"))
    assert path.read_bytes() == plain.read_bytes()


def test_another_recipe_starts_again(often, written, tmp_path):
    path = tmp_path / "x.gguf"
    with pytest.raises(KilledError):
        write(written, path, Recipe("f32", "f32"), stop_at(100_000))
    write(written, path, Recipe("bf16", "bf16"))
    assert read_header(path).tensors["token_embd.weight"].format.name == "bf16"


def test_two_processes_do_not_write_the_same_file(written, tmp_path):
    path = tmp_path / "x.gguf"

    def inner(done, total):
        with pytest.raises(OmnireelError, match="Another process is writing"):
            write(written, path, Recipe("f32", "f32"))
        raise KilledError

    with pytest.raises(KilledError):
        write(written, path, Recipe("f32", "f32"), inner)


def test_a_weight_that_is_no_number_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    write_checkpoint(tmp_path, Sizes(num_shards=1))
    file = next(tmp_path.glob("*.safetensors"))
    tensors = load_file(file)
    name = "language_model.backbone.layers.1.mixer.experts.3.down_proj.weight"
    tensors[name][2, 7] = float("nan")
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"experts\.3\.down_proj"):
        write(tmp_path, tmp_path / "x.gguf", Recipe("f32", "f32"))


def changed(plain, tmp_path, change):
    """A copy of the GGUF with other metadata or other tensors; its values do not matter."""
    header = read_header(plain)
    values = dict(header.metadata)
    tensors = [(entry.name, entry.shape, entry.format) for entry in header.tensors.values()]
    change(values, tensors)
    path = tmp_path / "changed.gguf"
    path.write_bytes(header_bytes(values, tensors) + bytes(2 * plain.stat().st_size))
    return path


def set_value(key, value):
    return lambda values, tensors: values.update({key: value})


def without(name):
    return lambda values, tensors: tensors.remove(next(row for row in tensors if row[0] == name))


def reshaped(name, shape):
    def change(values, tensors):
        place = next(n for n, row in enumerate(tensors) if row[0] == name)
        tensors[place] = (name, shape, tensors[place][2])

    return change


def other_token(values, tensors):
    tokens = list(values["tokenizer.ggml.tokens"])
    tokens[200] += "x"
    values["tokenizer.ggml.tokens"] = tokens


ARCH = "nemotron_h_moe"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_value("general.architecture", "llama"), "architecture 'llama'"),
        (set_value(f"{ARCH}.block_count", 9), "has 9 for block_count; config.json says 5"),
        (set_value(f"{ARCH}.expert_used_count", 3), "has 3 for expert_used_count"),
        (set_value(f"{ARCH}.expert_weights_scale", 1.25), "expert_weights_scale"),
        (set_value(f"{ARCH}.attention.head_count_kv", [0, 0, 2, 0, 0]), "head_count_kv"),
        (lambda values, tensors: values.pop(f"{ARCH}.ssm.state_size"), "nothing for ssm.state_size"),
        (reshaped("token_embd.weight", (640, 64)), "another vocabulary: 640 tokens; config.json says 320"),
        (other_token, "another tokenizer: its token 200"),
        (without("blk.3.attn_q.weight"), r"lacks the tensor 'blk\.3\.attn_q\.weight'"),
        (reshaped("output_norm.weight", (32,)), r"'output_norm\.weight' of shape \[32\], expected \[64\]"),
        (lambda values, tensors: tensors.append(("blk.0.x.weight", (4,), FORMATS["f32"])), "does not have"),
    ],
)
def test_a_gguf_of_another_model_is_named(plain, written, tmp_path, change, message):
    path = changed(plain, tmp_path, change)
    with pytest.raises(CheckpointError, match=message):
        check_language(path, read_config(written).language, written)


def test_a_gguf_of_llama_cpps_converter_is_taken(plain, written, tmp_path):
    """It has numbers for lists, further keys, factors of 1, no shape (n, 1), and leaves some keys out."""

    def change(values, tensors):
        values[f"{ARCH}.attention.head_count"] = [0, 0, 0, 4, 0]
        values[f"{ARCH}.attention.head_count_kv"] = [0, 0, 0, 2, 0]
        values["general.file_type"] = 7
        del values[f"{ARCH}.expert_group_count"]
        tensors.append(("blk.1.ffn_up_exps.scale", (8,), FORMATS["f32"]))
        reshaped("blk.0.ssm_a", (8,))(values, tensors)

    path = changed(plain, tmp_path, change)
    assert check_language(path, read_config(written).language, written)


def cut(share):
    return lambda raw: raw[: int(len(raw) * share)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut(0.0), "is not a GGUF file"),
        (lambda raw: b"PK\3\4" + raw[4:], "is not a GGUF file"),
        (lambda raw: raw[:4] + struct.pack("<I", 9) + raw[8:], "version 9"),
        (lambda raw: raw[:20], "truncated: it ends inside its header"),
        (cut(0.005), "truncated: it ends inside its header"),
        (cut(0.7), r"truncated: it has [\d,]+ bytes of [\d,]+"),
        (lambda raw: raw[:-1], "truncated"),
        (lambda raw: raw[:8] + struct.pack("<Q", 1 << 60) + raw[16:], "a table of"),
        (lambda raw: raw[:24] + struct.pack("<Q", 1 << 60) + raw[32:], "a string of"),
    ],
)
def test_a_damaged_gguf_is_named(plain, tmp_path, damage, message):
    path = tmp_path / "damaged.gguf"
    path.write_bytes(damage(plain.read_bytes()))
    with pytest.raises(CheckpointError, match=message):
        read_header(path)


@pytest.fixture
def split(plain, tmp_path):
    """The GGUF in two files, as llama-gguf-split writes them."""
    header = read_header(plain)
    entries = list(header.tensors.values())
    raw = plain.read_bytes()
    paths = [tmp_path / f"x-0000{n}-of-00002.gguf" for n in (1, 2)]
    for n, (path, own) in enumerate(zip(paths, (entries[:9], entries[9:]), strict=True)):
        values = {"split.no": n, "split.count": 2, "split.tensors.count": len(entries)}
        values = dict(header.metadata) | values if n == 0 else values
        data = b"".join(raw[e.offset : e.offset + e.num_bytes] + bytes(-e.num_bytes % 32) for e in own)
        path.write_bytes(header_bytes(values, [(e.name, e.shape, e.format) for e in own]) + data)
    return paths


def test_a_gguf_in_two_files_is_read_as_one(split, plain, written, model):
    header = check_language(split[0], read_config(written).language, written)
    for name, entry in header.tensors.items():
        assert np.array_equal(values_of(entry), expected(model, name).numpy()), name


def test_a_split_gguf_that_is_incomplete_is_named(split):
    with pytest.raises(CheckpointError, match="is a part of a GGUF in 2 files"):
        read_header(split[1])
    split[1].unlink()
    with pytest.raises(CheckpointError, match=r"its part x-00002-of-00002\.gguf is missing"):
        read_header(split[0])
