"""Instructions for clients, printed when the server has started."""

import shlex
from pathlib import Path

from omnireel.api.fal.input import ENDPOINT_ID
from omnireel.api.middleware.hosts import PROXY_PATH, FalHost

_CURL = """\
With curl:
  printf '{{"prompt":"What happens?","video_url":"data:video/mp4;base64,%s"}}' "$(base64 -w0 clip.mp4)" |
    curl {trust}{key}-H "content-type: application/json" -d @- {url}/{endpoint}
  A large clip is uploaded first, with its type; the answer's access_url is the video_url:
    curl {trust}{key}-H "content-type: video/mp4" --data-binary @clip.mp4 {url}/{cdn}/files/upload
"""
_JAVASCRIPT = """\
With JavaScript's @fal-ai/client:
  fal.config({{ credentials: "{key}", proxyUrl: {{ url: "{url}{proxy}", when: "always" }} }});
  A Blob or File as the video_url is uploaded.
"""
_PYTHON = """\
With Python's fal-client, unmodified:
  export FAL_RUN_HOST={authority}/sync
  export FAL_QUEUE_RUN_HOST={authority}/queue
  export SSL_CERT_FILE={ca}
  export FAL_KEY={key}
  fal_client.encode_file("clip.mp4") makes the video_url. fal_client.upload_file works only where the names rest.fal.ai
  and v3.fal.media lead to this server.
"""
_NODE = """\
  Over https, use {tls_url} instead, and on Node:
  export NODE_EXTRA_CA_CERTS={ca}
"""


def recipe(
    url: str, tls_url: str | None, ca: Path, *, asks_for_key: bool = False, notice: str | None = None
) -> str:
    """How to call the server with fal's clients and with curl.

    notice: a line about the model, which comes first
    tls_url: the https address of the server, or None; ca: the certificate that clients have to trust for it
    """
    first = [] if notice is None else [f"{notice}\n"]
    key = "KEY_ID:KEY_SECRET" if asks_for_key else "any:key"
    header = f'-H "authorization: Key {key}" ' if asks_for_key else ""
    curl = _CURL.format(trust="", key=header, url=url, endpoint=ENDPOINT_ID, cdn=FalHost.CDN)
    javascript = _JAVASCRIPT.format(url=url, key=key, proxy=PROXY_PATH)
    if tls_url is None:
        return "\n".join((*first, curl, javascript))
    quoted = shlex.quote(str(ca.absolute()))
    python = _PYTHON.format(authority=tls_url.removeprefix("https://"), ca=quoted, key=key)
    node = _NODE.format(tls_url=tls_url, ca=quoted)
    curl = _CURL.format(
        trust=f"--cacert {quoted} ", key=header, url=tls_url, endpoint=ENDPOINT_ID, cdn=FalHost.CDN
    )
    return "\n".join((*first, python, javascript + node, curl))
