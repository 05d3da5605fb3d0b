"""What to paste to point a client at a server that has just started."""

import shlex
from pathlib import Path

from omnireel.api.fal.input import ENDPOINT_ID

_CURL = """\
With curl:
  printf '{{"prompt":"What happens?","video_url":"data:video/mp4;base64,%s"}}' "$(base64 -w0 clip.mp4)" |
    curl {trust}{key}-H "content-type: application/json" -d @- {url}/{endpoint}
"""
_JAVASCRIPT = """\
With JavaScript's @fal-ai/client, over plain http:
  const doors = {{"fal.run": "sync", "queue.fal.run": "queue", "rest.fal.ai": "rest"}};
  fal.config({{
    credentials: "{key}",
    requestMiddleware: async (request) => {{
      const url = new URL(request.url);
      return {{...request, url: `{url}/${{doors[url.host]}}${{url.pathname}}${{url.search}}`}};
    }},
  }});
"""
_PYTHON = """\
With Python's fal-client, unmodified:
  export FAL_RUN_HOST={authority}/sync
  export FAL_QUEUE_RUN_HOST={authority}/queue
  export SSL_CERT_FILE={ca}
  export FAL_KEY={key}
"""
_NODE = """\
  The same over https: put {tls_url} there, and
  export NODE_EXTRA_CA_CERTS={ca}
"""


def recipe(url: str, tls_url: str | None, ca: Path, *, asks_for_key: bool = False) -> str:
    """How to reach the server with fal's clients and with curl.

    tls_url: its https address, if it has one; ca: the certificate that clients then have to trust
    """
    key = "KEY_ID:KEY_SECRET" if asks_for_key else "any:key"
    header = f'-H "authorization: Key {key}" ' if asks_for_key else ""
    curl = _CURL.format(trust="", key=header, url=url, endpoint=ENDPOINT_ID)
    javascript = _JAVASCRIPT.format(url=url, key=key)
    if tls_url is None:
        return "\n".join((curl, javascript))
    quoted = shlex.quote(str(ca.absolute()))
    python = _PYTHON.format(authority=tls_url.removeprefix("https://"), ca=quoted, key=key)
    node = _NODE.format(tls_url=tls_url, ca=quoted)
    curl = _CURL.format(trust=f"--cacert {quoted} ", key=header, url=tls_url, endpoint=ENDPOINT_ID)
    return "\n".join((python, javascript + node, curl))
