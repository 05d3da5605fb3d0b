"""Where settings come from, which place comes first, and what the error for a bad value says."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from omnireel import settings
from omnireel.cli.backend import check_effects
from omnireel.errors import SettingsError
from omnireel.settings import AskSettings, Settings, read_ask_settings, read_settings, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings.os, "environ", {})


@pytest.fixture
def variables():
    return settings.os.environ


def toml(text):
    Path("omnireel.toml").write_text(text)


def test_a_setting_that_is_not_given_has_its_default():
    assert read_settings({}) == Settings()
    assert read_ask_settings({"think": None}) == AskSettings()
    assert (Settings().host, Settings().port, Settings().model) == ("127.0.0.1", 8000, "demo")


def test_a_flag_overrides_a_variable_which_overrides_the_file(variables):
    toml("port = 1\nhost = 'file'\nmodel = 'file'\n")
    variables |= {"OMNIREEL_PORT": "2", "OMNIREEL_HOST": "variable"}
    read = read_settings({"port": 3})
    assert (read.port, read.host, read.model, read.backend) == (3, "variable", "file", "local")


def test_a_false_flag_overrides_a_true_variable(variables):
    variables["OMNIREEL_THINK"] = "yes"
    assert read_ask_settings({}).think is True
    assert read_ask_settings({"think": False}).think is False


def test_a_list_is_a_toml_list_or_text_with_commas(variables):
    toml("trusted_proxies = ['10.0.0.0/8', '::1']\ncors_origins = []\n")
    networks = (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert read_settings({}).trusted_proxies == networks
    assert read_settings({}).cors_origins == ()
    variables |= {"OMNIREEL_TRUSTED_PROXIES": "10.0.0.0/8, ::1", "OMNIREEL_CORS_ORIGINS": "*"}
    assert read_settings({}).trusted_proxies == networks
    assert read_settings({}).cors_origins == ("*",)


BAD = [
    ("OMNIREEL_PORT", "eighty", "OMNIREEL_PORT is 'eighty'; it must be a whole number from 0 to 65535"),
    ("OMNIREEL_PORT", "65536", "OMNIREEL_PORT is '65536'"),
    ("OMNIREEL_PORT", "", "OMNIREEL_PORT is ''"),
    ("OMNIREEL_PORT", "80.5", "OMNIREEL_PORT is '80.5'"),
    ("OMNIREEL_ECHO_TOKEN_S", "nan", "OMNIREEL_ECHO_TOKEN_S is 'nan'"),
    (
        "OMNIREEL_FETCH_PORTS",
        "443,0",
        "OMNIREEL_FETCH_PORTS is '443,0'; it must be whole numbers from 1 to 65535, separated by commas",
    ),
    ("OMNIREEL_BACKEND", "magic", "OMNIREEL_BACKEND is 'magic'; it must be local, echo, vllm, "),
    (
        "OMNIREEL_TRUSTED_PROXIES",
        "10.0.0.1/8",
        "'10.0.0.1/8'; it must be addresses or networks separated by commas, like 10.0.0.0/8",
    ),
    ("OMNIREEL_TRUSTED_PROXIES", "10.0.0.1, box", "'10.0.0.1, box'; it must be addresses or networks"),
    (
        "OMNIREEL_CORS_ORIGINS",
        "example.com",
        "'example.com'; it must be * or origins separated by commas, like https://example.com",
    ),
    ("OMNIREEL_CORS_ORIGINS", "https://example.com/", "'https://example.com/'; it must be * or origins"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_variable_is_named_with_its_value_and_what_was_wanted(variables, name, value, message):
    variables[name] = value
    with pytest.raises(SettingsError) as raised:
        read_settings({})
    assert message in raised.value.message
    assert name in raised.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = '80'\nport = 1", "omnireel.toml is not TOML"),
        ("port = true", "omnireel.toml: port is True"),
        ("port = [1]", "omnireel.toml: port is [1]"),
        ("trusted_proxies = 5", "omnireel.toml: trusted_proxies is 5; it must be addresses or networks"),
        ("trusted_proxies = [5]", "omnireel.toml: trusted_proxies is [5]"),
        ("model = 5", "omnireel.toml: model is 5; it must be text"),
        ("echo_token_s = 'x'", "omnireel.toml: echo_token_s is 'x'"),
        ("prot = 1", "omnireel.toml has the unknown setting 'prot'"),
    ],
)
def test_a_bad_file_is_named_with_key_and_value(text, message):
    toml(text)
    with pytest.raises(SettingsError) as raised:
        read_settings({})
    assert message in raised.value.message


def test_a_misspelt_name_gets_a_suggestion(variables):
    toml("prot = 1")
    with pytest.raises(SettingsError) as raised:
        read_settings({})
    assert raised.value.hint == "Did you mean port?"
    variables |= {"OMNIREEL_MAX_TOKEN": "5", "OMNIREEL_MODEL": "demo", "OTHER": "1"}
    assert unknown_variables() == ["OMNIREEL_MAX_TOKEN is not a setting. Did you mean OMNIREEL_MAX_TOKENS?"]


def test_networks_and_ports_are_a_list_in_toml_and_text_with_commas_in_variables(variables):
    toml("fetch_allow = ['10.1.0.0/16', 'fd12::1']\nfetch_ports = [8443]\nallow_http = true")
    variables |= {"OMNIREEL_FETCH_DENY": "8.8.8.8, 2606::/16", "OMNIREEL_MAX_DOWNLOAD_BYTES": "4096"}
    read = read_settings({})
    assert read.fetch_allow == (ip_network("10.1.0.0/16"), ip_network("fd12::1/128"))
    assert read.fetch_deny == (ip_network("8.8.8.8/32"), ip_network("2606::/16"))
    assert (read.fetch_ports, read.allow_http, read.max_download_bytes) == ((8443,), True, 4096)


@pytest.mark.parametrize("value", ["10.1.2.3/16", "localhost", "10.1.0.0/33", "1.2.3.4;5.6.7.8"])
def test_a_value_that_is_not_a_network_is_refused(variables, value):
    variables["OMNIREEL_FETCH_ALLOW"] = value
    with pytest.raises(SettingsError) as raised:
        read_settings({})
    assert "addresses or networks separated by commas, like 10.0.0.0/8" in raised.value.message


def test_a_pruning_rate_of_one_is_refused():
    assert read_ask_settings({"video_pruning_rate": 0}).video_pruning_rate == 0.0
    with pytest.raises(SettingsError):
        read_ask_settings({"video_pruning_rate": 1.0})


def test_a_file_of_settings_may_begin_with_a_byte_order_mark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "omnireel.toml").write_bytes(b"\xef\xbb\xbfport = 9")
    assert read_settings({}).port == 9


def test_a_file_of_settings_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "omnireel.toml"
    file.write_bytes("# Größe".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"omnireel\.toml is not UTF-8"):
        read_settings({})
    file.unlink()
    file.mkdir()
    with pytest.raises(SettingsError, match=r"omnireel\.toml cannot be read: Is a directory"):
        read_settings({})


@pytest.mark.parametrize(
    ("command", "given", "message", "hint"),
    [
        (
            "ask",
            {"upstream": "http://gpu:8000"},
            "upstream is set and has no effect: backend is local",
            "--backend vllm",
        ),
        (
            "serve",
            {"upstream_key": "k-012345", "backend": "echo"},
            "upstream_key is set and",
            "--backend vllm",
        ),
        ("inspect", {"upstream_pruning_rate": "0.7"}, "upstream_pruning_rate is set and", "--backend vllm"),
        ("worker", {"allow_any_model": True}, "allow_any_model is set and", "--backend vllm"),
        ("serve", {"echo_token_s": "1"}, "echo_token_s is set and", "--backend echo"),
        ("serve", {"tls_port": "9443"}, "tls_port is set and has no effect: tls is none", "--tls dev"),
        ("serve", {"tls_port": "8443"}, "tls_port is set and has no effect: tls is none", "--tls dev"),
        ("worker", {"upstream_token_s": "60"}, "upstream_token_s is set and", "--backend vllm"),
        ("ask", {"flash_attention": "auto"}, "the model demo is no GGUF", "--model"),
        ("ask", {"gpu_layers": "1", "backend": "echo"}, "gpu_layers is set and", "--backend local"),
        ("serve", {"slots": "4", "backend": "echo"}, "slots is set and has no effect", "--backend local"),
        (
            "worker",
            {"dtype": "float32", "backend": "vllm"},
            "dtype is set and has no effect",
            "--backend local",
        ),
        ("ask", {"flash_attention": "on"}, "the model demo is no GGUF", "--model"),
        ("trace", {"repack": True}, "the model demo is no GGUF", "--model"),
        ("inspect", {"encoders": "x"}, "the model demo is no GGUF", "--model"),
    ],
)
def test_a_setting_without_effect_is_refused(variables, command, given, message, hint):
    with pytest.raises(SettingsError) as raised:
        check_effects(read_settings(given), command)
    assert message in raised.value.message
    assert hint in raised.value.hint
    variables |= {f"OMNIREEL_{name.upper()}": str(value) for name, value in given.items()}
    with pytest.raises(SettingsError):
        check_effects(read_settings({}), command)


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("serve", {"upstream": "http://gpu:8000", "upstream_key": "k-012345", "backend": "sglang"}),
        ("serve", {"tls_port": "9443", "tls": "dev"}),
        ("worker", {"echo_token_s": "1", "backend": "echo"}),
        ("ask", {"tls_port": "9443", "echo_token_s": "1"}),  # flags of other commands
        ("trace", {"upstream": "http://gpu:8000"}),
        ("serve", {"allow_any_model": False}),
        ("serve", {"upstream": ""}),
    ],
)
def test_a_setting_with_an_effect_or_for_another_command_is_accepted(command, given):
    check_effects(read_settings(given), command)


@pytest.mark.parametrize(
    ("command", "other", "text", "names"),
    [
        ("ask", {"backend": "local"}, "backend = 'local'", {"upstream": "http://gpu:8000"}),
        ("serve", {"tls": "none"}, "tls = 'none'", {"tls_port": "9443"}),
        ("worker", {"backend": "echo"}, "backend = 'echo'", {"gpu_layers": "9"}),
        ("trace", {"model": "demo"}, "model = 'demo'", {"flash_attention": "on"}),
    ],
)
def test_a_flag_wins_over_variables_that_have_no_effect_with_it(variables, command, other, text, names):
    given = {f"OMNIREEL_{name.upper()}": value for name, value in names.items()}
    variables |= given
    check_effects(read_settings(other), command)
    toml(text)
    with pytest.raises(SettingsError):
        check_effects(read_settings({}), command)
    with pytest.raises(SettingsError):
        check_effects(read_settings(other | names), command)


def test_a_variable_wins_over_lines_of_the_file_that_have_no_effect_with_it(variables):
    toml("upstream = ['http://gpu:8000']\nbackend = 'vllm'\n")
    variables["OMNIREEL_BACKEND"] = "local"
    check_effects(read_settings({}), "serve")
    toml("upstream = ['http://gpu:8000']\nbackend = 'local'\n")
    del variables["OMNIREEL_BACKEND"]
    with pytest.raises(SettingsError):
        check_effects(read_settings({}), "serve")
