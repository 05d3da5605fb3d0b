"""The build of llama-cpp-python: its flags follow from the processor, and its wheels are kept by them."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))

from build_gguf import build_flags, is_installed, processor_flags, wheel_directory  # noqa: E402  beside the package, not in it

AVX2 = {"sse4_2", "avx", "avx2", "bmi2", "fma", "f16c"}
SAPPHIRE = AVX2 | {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512_vnni",
                   "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}  # fmt: skip


def test_a_processor_with_amx_gets_a_build_without_it():
    flags = build_flags(SAPPHIRE, "x86_64")
    assert {"-DGGML_NATIVE=OFF", "-DGGML_AVX512=ON", "-DGGML_AVX512_BF16=ON", "-DGGML_AVX_VNNI=ON"} <= set(
        flags
    )
    assert {flag for flag in flags if "AMX" in flag} == {
        f"-DGGML_AMX_{unit}=OFF" for unit in ("TILE", "INT8", "BF16")
    }


def test_a_processor_gets_no_instructions_that_it_lacks():
    flags = build_flags(AVX2, "x86_64")
    assert {"-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_AVX512=OFF", "-DGGML_AVX512_VNNI=OFF"} <= set(flags)
    assert "-DGGML_AVX512=OFF" in build_flags(SAPPHIRE - {"avx512vl"}, "x86_64"), "it needs all five"


def test_where_flags_are_unknown_the_compiler_looks_itself():
    assert "-DGGML_NATIVE=OFF" not in build_flags(set(), "aarch64")


def test_wheels_are_kept_by_flags_in_the_users_cache(tmp_path):
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    first, second = (wheel_directory(build_flags(found, "x86_64"), environ) for found in (AVX2, SAPPHIRE))
    assert first.parent == second.parent == tmp_path / "omnireel" / "wheels"
    assert first != second
    assert first == wheel_directory(build_flags(AVX2, "x86_64"), environ)


def test_a_package_of_the_same_version_from_another_build_is_not_the_wanted_one(tmp_path):
    kept, other = tmp_path / "wheels" / "0.3.36-a", tmp_path / "wheels" / "0.3.36-ab"
    assert not is_installed(kept, tmp_path)
    info = tmp_path / "llama_cpp_python-0.3.36.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: 0.3.36\n")
    assert not is_installed(kept, tmp_path), "from an index"
    (info / "direct_url.json").write_text(json.dumps({"url": f"{kept.as_uri()}/llama_cpp_python.whl"}))
    assert (is_installed(kept, tmp_path), is_installed(other, tmp_path)) == (True, False)


def test_the_flags_of_a_processor_are_read(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert processor_flags(info) == {"fpu", "avx2", "fma"}
    assert processor_flags(tmp_path / "missing") == set()
