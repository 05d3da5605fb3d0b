"""Examples of the endpoint's input and output, for the descriptions of the API."""

from collections.abc import Mapping
from typing import Any

from omnireel.api.fal.input import Nemotron3NanoOmniVideoInput
from omnireel.api.fal.output import Nemotron3NanoOmniVideoOutput

# The hosted endpoint's own example clip.
_CLIP = "https://storage.googleapis.com/falserverless/example_inputs/nemotron-3-nano-omni/video_in.mp4"
INPUT_EXAMPLE: Mapping[str, Any] = {"prompt": "What is moving, and which way?", "video_url": _CLIP}
OUTPUT_EXAMPLE: Mapping[str, Any] = {
    "output": "The red circle moves right.",
    "finish_reason": "stop",
    "usage": {"input_tokens": 412, "output_tokens": 8},
}
# By the model whose example it is.
EXAMPLES: Mapping[type, Mapping[str, Any]] = {
    Nemotron3NanoOmniVideoInput: INPUT_EXAMPLE,
    Nemotron3NanoOmniVideoOutput: OUTPUT_EXAMPLE,
}
