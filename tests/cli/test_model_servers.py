"""The command line in front of a model server: start, questions, checks, and both official clients of fal."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from javascript_client import FOLDER, install_client, node_path
from model_server import MODEL, ModelServer, Script
from served import ENDPOINT_ID, Server, data_uri, fal_client_environment, make_clip

ANSWER = "A square moves to the right."


@pytest.fixture
def upstream():
    with ModelServer() as server:
        yield server


@pytest.fixture
def model(tmp_path):
    """The text files of the demo under the name of the published model: all that is needed of it here."""
    from omnireel.cli.backend import DEMO

    directory = tmp_path / "models" / MODEL.rpartition("/")[2]
    directory.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (directory / name).write_bytes((DEMO / name).read_bytes())
    return directory


@pytest.fixture
def variables(upstream, model):
    return {"OMNIREEL_BACKEND": "vllm", "OMNIREEL_UPSTREAM": upstream.url, "OMNIREEL_MODEL": str(model)}


def test_ask_prints_the_answer_of_the_server(omnireel, clip, variables):
    ran = omnireel("ask", clip, "What moves?", **variables)
    assert ran.stdout.strip().endswith(ANSWER), ran.stderr


def test_a_server_with_another_model_is_refused_by_name(omnireel, clip, upstream, variables):
    upstream.script.models = [{"id": "Qwen/Qwen3-VL-8B"}]
    ran = omnireel("ask", clip, "What moves?", **variables)
    assert ran.returncode == 2
    assert "Qwen/Qwen3-VL-8B" in ran.stderr
    assert "--allow-any-model" in ran.stderr

    ran = omnireel("ask", clip, "What moves?", "--allow-any-model", **variables)
    assert ran.returncode == 0, ran.stderr


def test_a_backend_without_a_server_is_refused(omnireel, clip, variables):
    ran = omnireel("ask", clip, "What moves?", **(variables | {"OMNIREEL_UPSTREAM": ""}))
    assert ran.returncode == 2
    assert "--upstream" in ran.stderr


def test_each_server_has_its_line_of_the_key_file(omnireel, clip, upstream, variables, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("first-key-of-two\nsecond-key-of-two\n")
    with ModelServer() as other:
        both = {
            "OMNIREEL_UPSTREAM": f"{upstream.url},{other.url}/v1",
            "OMNIREEL_UPSTREAM_KEY_FILE": str(keys),
        }
        ran = omnireel("ask", clip, "What moves?", **(variables | both))
        assert ran.returncode == 0, ran.stderr
        sent = [(n, head["authorization"]) for n, s in enumerate((upstream, other)) for head in s.heads]
    assert sent in ([(0, "Bearer first-key-of-two")], [(1, "Bearer second-key-of-two")])
    keys.write_text("a\nb\nc\n")
    assert omnireel("ask", clip, "What moves?", **(variables | both)).returncode == 2


def test_doctor_says_what_will_not_work_and_how_to_start_a_server(omnireel, upstream, variables):
    upstream.script = Script(reasoning="I look.", usage={"prompt_tokens": 5000, "completion_tokens": 7})
    ran = omnireel("doctor", "--json", **variables)
    assert ran.returncode == 1, ran.stderr
    report = json.loads(ran.stdout)
    (found,) = report["servers"]
    assert (found["model"], found["max_context"], found["has_parser"]) == (MODEL, 131_072, True)
    assert found["takes_most_frames"] is True
    assert len(found["problems"]) == 1
    assert "5000 tokens" in found["problems"][0]
    assert set(report["start"]) == {"BF16", "FP8", "NVFP4"}
    assert "--kv-cache-dtype fp8" in report["start"]["NVFP4"]
    assert "--mamba-ssm-cache-dtype float32" in report["start"]["BF16"]


def test_doctor_says_once_that_a_server_does_not_answer(omnireel, variables):
    dead = "http://127.0.0.1:9"
    ran = omnireel("doctor", **(variables | {"OMNIREEL_UPSTREAM": dead}))
    assert (ran.returncode, ran.stderr) == (1, "")
    lines = ran.stdout.partition("\nStart a server like this:")[0].splitlines()
    assert lines[0].startswith(dead)
    assert [line.startswith("  FAILED  It takes no requests: ") for line in lines[1:]] == [True]
    assert "vllm serve" in ran.stdout


def test_doctor_is_content_with_a_server_that_counts_as_we_do(omnireel, upstream, variables):
    upstream.script = Script(reasoning="I look.", usage={"prompt_tokens": 5000, "completion_tokens": 7})
    first = json.loads(omnireel("doctor", "--json", **variables).stdout)["servers"][0]
    upstream.script.usage = {"prompt_tokens": first["expected_tokens"], "completion_tokens": 7}
    ran = omnireel("doctor", **variables)
    assert ran.returncode == 0, ran.stdout
    assert "pruning: 0.5" in ran.stdout


def test_inspect_refuses_what_the_servers_cannot_do_and_counts_as_they_do(omnireel, clip, variables):
    refused = omnireel("inspect", clip, "What moves?", "--video-pruning-rate", "0.7", **variables)
    assert refused.returncode == 1
    assert "--video-pruning-rate cannot be 0.7 here" in refused.stderr
    counts = [
        json.loads(
            omnireel("inspect", clip, "What?", "--json", "--upstream-pruning-rate", rate, **variables).stdout
        )
        for rate in ("0", "0.7")
    ]
    kept = [count["video"]["kept_tokens"] for count in counts]
    assert kept[1] < kept[0] == counts[0]["video"]["vision_tokens"]


def test_trace_says_that_a_model_server_does_not_report_its_numbers(omnireel, clip, variables):
    ran = omnireel("trace", clip, "What moves?", "--out", "trace.safetensors", **variables)
    assert ran.returncode == 2
    assert "backend is vllm" in ran.stderr
    assert "OMNIREEL_BACKEND=local" in ran.stderr


def test_fals_python_client_gets_answers_streams_and_errors(tmp_path, upstream, variables):
    program = """
import json, sys, fal_client
arguments = {"prompt": "What moves?", "video_url": sys.argv[2]}
print(json.dumps(fal_client.run(sys.argv[1], arguments=arguments)))
print(json.dumps(fal_client.subscribe(sys.argv[1], arguments=arguments)))
print(json.dumps(list(fal_client.stream(sys.argv[1], arguments=arguments))[-1]))
"""
    with Upstreamed(tmp_path, OMNIREEL_TLS="dev", OMNIREEL_TLS_PORT="0", **variables) as server:
        ran = subprocess.run(
            [sys.executable, "-c", program, ENDPOINT_ID, data_uri(make_clip())],
            env=fal_client_environment(server),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    for line in ran.stdout.splitlines():
        answer = json.loads(line)
        assert answer["output"] == ANSWER
        assert answer["usage"] == {"input_tokens": 258, "output_tokens": 7}
    assert len(upstream.requests) == 3


def test_fals_javascript_client_gets_answers_through_the_queue(tmp_path, upstream, variables):
    install_client()
    program = f"""
import {{ connect }} from "{FOLDER}/client.mjs";
const [endpoint, clip] = process.argv.slice(2);
const input = {{ prompt: "What moves?", video_url: clip }};
const fal = connect("middleware");
console.log(JSON.stringify((await fal.run(endpoint, {{ input }})).data));
console.log(JSON.stringify((await fal.subscribe(endpoint, {{ input }})).data));
"""
    with Upstreamed(tmp_path, **variables) as server:
        ran = subprocess.run(
            [node_path(), "--input-type=module", "-", ENDPOINT_ID, data_uri(make_clip())],
            input=program,
            cwd=FOLDER,
            env=os.environ | {"URL_HTTP": server.url},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    outputs = [json.loads(line)["output"] for line in ran.stdout.splitlines()]
    assert outputs == [ANSWER, ANSWER]


def test_a_server_that_is_down_makes_the_deployment_not_ready(tmp_path, upstream, variables):
    upstream.stop()
    with Upstreamed(tmp_path, **variables) as server:
        request = urllib.request.Request(f"{server.url}/health")
        with urllib.request.urlopen(request) as response:
            health = json.load(response)
        assert (health["status"], health["backend"]) == ("not ready", "vllm")
        assert upstream.url.rpartition(":")[2] not in json.dumps(health)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{server.url}/health/ready")
        caught.value.close()
        assert caught.value.code == 503
        (down,) = (line for line in server.log() if line["event"] == "a model server does not answer")
        assert (down["upstream"], server.wait_for("listening")["model"]) == (upstream.url, "unknown")


class Upstreamed(Server):
    """`omnireel serve` in front of a model server."""

    backend = "vllm"


def test_a_server_without_a_named_model_says_that_tokens_are_counted_as_for_the_demo(
    environment, tmp_path, upstream, variables
):
    variables |= {"OMNIREEL_MODEL": "demo", "OMNIREEL_ALLOW_ANY_MODEL": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", Server.code, "serve", "--port", "0", "--data-dir", "data"],
        env=environment | variables,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        first = process.stdout.readline()
        process.terminate()
        process.stdout.read()
    assert "counted as for the demo model" in first
    assert "--model" in first
    assert process.returncode == 0
