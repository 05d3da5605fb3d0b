"""`serve --tls dev`: the official client, unmodified, against a real server, and the files of the certificates."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from served import Server, data_uri, fal_client_environment, make_clip

from omnireel.api.middleware.hosts import HOSTED
from omnireel.cli.serving.recipes import recipe
from omnireel.cli.serving.tls import dev_context, ensure_certificates
from omnireel.errors import OmnireelError

ID = "nvidia/nemotron-3-nano-omni/video"
DEV = {"OMNIREEL_TLS": "dev", "OMNIREEL_TLS_PORT": "0"}
OFFICIAL = """
import json, sys
import fal_client
answers = [fal_client.run(sys.argv[1], arguments={"prompt": "hello there", "video_url": sys.argv[2]})]
try:
    fal_client.run(sys.argv[1], arguments={"prompt": "hello"})
except fal_client.client.FalClientHTTPError as error:
    answers.append([error.status_code, error.message[0]["loc"]])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("tls server"), **DEV) as server:
        yield server


@pytest.fixture(scope="module")
def clip_uri():
    return data_uri(make_clip())


@pytest.fixture(scope="module")
def trust(server):
    return ssl.create_default_context(cafile=server.folder / "tls" / "ca.pem")


def test_the_official_client_runs_unmodified_with_the_environment_that_serve_prints(server, clip_uri):
    command = [sys.executable, "-c", OFFICIAL, ID, clip_uri]
    environment = fal_client_environment(server)
    ran = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)
    answer, refusal = json.loads(ran.stdout)
    assert answer["output"] == "echo: hello there"
    assert refusal == [422, ["body", "video_url"]]


def test_both_ports_lead_to_the_same_application(server, clip_uri, trust):
    body = {"prompt": "hello", "video_url": clip_uri}
    with httpx.Client(verify=trust, trust_env=False) as client:
        answers = [client.post(f"{url}/{ID}", json=body) for url in (server.url, server.tls_url)]
    assert [answer.json()["output"] for answer in answers] == ["echo: hello"] * 2


@pytest.mark.parametrize("name", [*HOSTED, "localhost"])
def test_the_certificate_is_valid_for_the_names_of_the_hosted_service(server, trust, name):
    port = int(server.tls_url.rpartition(":")[2])
    plain = socket.create_connection(("127.0.0.1", port))
    with trust.wrap_socket(plain, server_hostname=name) as tls:
        assert ("DNS", name) in tls.getpeercert()["subjectAltName"]


def test_a_client_that_does_not_trust_our_ca_refuses_the_certificate(server):
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{server.tls_url}/health", trust_env=False)


def test_plain_http_on_the_tls_port_does_no_harm(server, trust):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.tls_url.replace('https', 'http')}/health", trust_env=False)
    assert httpx.get(f"{server.tls_url}/health", verify=trust, trust_env=False).status_code == 200
    assert "Traceback" not in server.log_path.read_text()


def test_one_signal_closes_both_ports_and_running_requests_over_tls_are_finished(tmp_path, clip_uri):
    with Server(tmp_path, OMNIREEL_ECHO_TOKEN_S="0.2", **DEV) as server, ThreadPoolExecutor(1) as caller:
        trust = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
        with httpx.Client(verify=trust, trust_env=False, timeout=60) as client:
            client.get(f"{server.tls_url}/health")
            body = {"prompt": "a b c d e", "video_url": clip_uri}
            asked = caller.submit(client.post, f"{server.tls_url}/{ID}", json=body)
            while not any((tmp_path / "incoming").glob("*")):
                assert not asked.done()
            server.process.send_signal(signal.SIGTERM)
            assert asked.result().json()["output"] == "echo: a b c d e"
        assert server.process.wait(30) == 0
        for url in (server.url, server.tls_url):
            with pytest.raises(httpx.ConnectError):
                httpx.get(url, trust_env=False)


def test_a_client_that_sends_no_close_alert_does_not_delay_the_stop(tmp_path):
    with Server(tmp_path, **DEV) as server:
        trust = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
        plain = socket.create_connection(("127.0.0.1", int(server.tls_url.rpartition(":")[2])))
        with trust.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert tls.recv(1000).startswith(b"HTTP/1.1 200")
            asked = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - asked < 10


def test_the_recipe_has_the_addresses_and_the_certificate_of_the_server(tmp_path):
    text = recipe("http://127.0.0.1:8000", "https://127.0.0.1:8443", tmp_path / "a b" / "ca.pem")
    quoted = f"'{tmp_path}/a b/ca.pem'"
    for line in (
        "export FAL_RUN_HOST=127.0.0.1:8443/sync",
        "export FAL_QUEUE_RUN_HOST=127.0.0.1:8443/queue",
        f"export SSL_CERT_FILE={quoted}",
        f"export NODE_EXTRA_CA_CERTS={quoted}",
        f"--cacert {quoted}",
        'proxyUrl: { url: "http://127.0.0.1:8000/api/fal/proxy", when: "always" }',
    ):
        assert line in text
    plain = recipe("http://127.0.0.1:8000", None, tmp_path)
    noted = recipe("http://127.0.0.1:8000", None, tmp_path, notice="Mind this.")
    assert noted == f"Mind this.\n\n{plain}"
    assert "proxyUrl" in plain
    assert "CERT" not in plain
    assert "KEY_ID:KEY_SECRET" in recipe("http://127.0.0.1:8000", None, tmp_path, asks_for_key=True)


def test_the_recipe_goes_to_stdout_and_the_log_to_stderr(environment, tmp_path):
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "serve", "--tls", "dev"]
    command += ["--port", "0", "--tls-port", "0", "--data-dir", str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        listening = json.loads(process.stderr.readline())
        process.terminate()
        printed = process.stdout.read()
    assert (
        printed.rstrip() == recipe(listening["url"], listening["tls_url"], tmp_path / "tls/ca.pem").rstrip()
    )


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.pem")}


def changed(folder, before):
    return {name for name, content in contents(folder).items() if before.get(name) != content}


SERVER = {"server.pem", "server-key.pem"}
EVERYTHING = SERVER | {"ca.pem", "ca-key.pem"}


def test_certificates_are_made_once_and_renewed_in_time(tmp_path):
    folder = tmp_path / "data" / "tls"
    ensure_certificates(folder, "127.0.0.1", NOW)
    first = contents(folder)
    assert set(first) == EVERYTHING
    for days, renewed in ((1, set()), (330, set()), (340, SERVER), (3630, EVERYTHING)):
        before = contents(folder)
        ensure_certificates(folder, "127.0.0.1", NOW + timedelta(days=days))
        assert changed(folder, before) == renewed, days


def test_a_new_name_renews_the_servers_certificate_and_keeps_the_ca(tmp_path):
    ensure_certificates(tmp_path, "127.0.0.1", NOW)
    before = contents(tmp_path)
    ensure_certificates(tmp_path, "box.lan", NOW)
    assert changed(tmp_path, before) == SERVER
    cert = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "box.lan" in names.get_values_for_type(x509.DNSName)


def test_only_the_owner_may_read_keys(tmp_path):
    old_mask = os.umask(0)
    try:
        ensure_certificates(tmp_path / "tls", "localhost", NOW)
    finally:
        os.umask(old_mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").glob("*.pem")}
    assert modes["ca-key.pem"] == modes["server-key.pem"] == 0o600
    assert modes["ca.pem"] == modes["server.pem"] == 0o644
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "content", "renewed"),
    [
        ("server.pem", b"", SERVER),
        ("server-key.pem", None, SERVER),
        ("ca-key.pem", b"nonsense", EVERYTHING),
        ("ca.pem", None, EVERYTHING),
    ],
)
def test_a_damaged_or_missing_file_is_replaced(tmp_path, name, content, renewed):
    ensure_certificates(tmp_path, "localhost", NOW)
    before = contents(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    ensure_certificates(tmp_path, "localhost", NOW)
    assert changed(tmp_path, before) == renewed
    dev_context(tmp_path, "localhost")


def test_a_server_certificate_of_another_ca_is_replaced(tmp_path):
    ensure_certificates(tmp_path / "a", "localhost", NOW)
    ensure_certificates(tmp_path / "b", "localhost", NOW)
    for name in SERVER:
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    before = contents(tmp_path / "a")
    ensure_certificates(tmp_path / "a", "localhost", NOW)
    assert changed(tmp_path / "a", before) == SERVER


def test_a_folder_that_cannot_be_used_is_an_error_with_a_hint(tmp_path):
    (tmp_path / "tls").write_text("a file")
    with pytest.raises(OmnireelError) as raised:
        dev_context(tmp_path / "tls", "localhost")
    assert str(tmp_path / "tls") in raised.value.message
    assert "--data-dir" in raised.value.hint


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_that_asks_for_no_key_does_not_listen_to_other_machines(omnireel, host):
    ran = omnireel("serve", "--host", host, "--port", "0")
    error, hint = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert error.startswith(f"error: host is {host}, which other machines can reach")
    assert "--allow-public" in hint


def test_the_operator_may_allow_callers_from_other_machines(environment, tmp_path):
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "serve", "--allow-public"]
    command += ["--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        listening = json.loads(process.stderr.readline())
        assert httpx.get(f"{listening['url']}/health", trust_env=False).status_code == 200
        process.terminate()


def test_a_tls_port_in_use_names_its_flag(omnireel):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = omnireel("serve", "--port", "0", "--tls", "dev", "--tls-port", port, "--data-dir", "data")
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 1
    assert f"port {port}: Address already in use" in error
    assert "--tls-port" in hint
