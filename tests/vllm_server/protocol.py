"""Gives the bodies that omnireel sends to vLLM's own request model and media readers. Run by test_protocol.py.

    .venv-vllm/bin/python tests/vllm_server/protocol.py BODIES.json

No model runs. It fails where vLLM refuses a field, ignores one, or reads other frames than were sent.
"""

import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.multimodal.media.image import ImageMediaIO
from vllm.multimodal.media.video import VideoMediaIO

SERVER_DEFAULTS = {"num_frames": 512, "fps": 1}


def main() -> None:
    for body in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        check_fields(body)
        check_frames(body)
        check_sound(body)
    print("vLLM takes every field, frame and sound that is sent")


def check_fields(body: dict) -> None:
    request = ChatCompletionRequest(**body)
    unknown = set(body) - set(ChatCompletionRequest.model_fields)
    assert not unknown, unknown
    assert not request.model_extra, request.model_extra
    assert (request.thinking_token_budget, request.seed) == (21, 3)
    assert request.chat_template_kwargs == {"enable_thinking": True, "reasoning_budget": 20}
    assert request.stream_options.include_usage


def check_frames(body: dict) -> None:
    options = body["media_io_kwargs"]["video"]
    url = body["messages"][1]["content"][0]["video_url"]["url"]
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    reader = VideoMediaIO(ImageMediaIO(), **VideoMediaIO.merge_kwargs(SERVER_DEFAULTS, options))
    found = reader.load_base64(media_type, data)
    frames, facts = getattr(found, "media", found)
    sent = [np.asarray(Image.open(io.BytesIO(base64.b64decode(part)))) for part in data.split(",")]
    assert len(frames) == len(sent) == len(options["frames_indices"])
    assert all(np.array_equal(a, b) for a, b in zip(np.asarray(frames), sent, strict=True))
    for name in ("fps", "frames_indices", "total_num_frames", "duration", "do_sample_frames"):
        assert facts[name] == options[name], (name, facts.get(name), options[name])


def check_sound(body: dict) -> None:
    from vllm.multimodal.media.audio import AudioMediaIO  # only for a body with sound

    parts = [part for part in body["messages"][1]["content"] if part["type"] == "input_audio"]
    for part in parts:
        samples, rate = AudioMediaIO().load_base64("audio/wav", part["input_audio"]["data"])
        assert rate == 16_000
        assert len(samples) > rate


if __name__ == "__main__":
    main()
