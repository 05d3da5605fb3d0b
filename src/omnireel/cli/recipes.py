"""What to paste to point a client at a server that has just started."""

import shlex
from pathlib import Path

from omnireel.api.wire import ENDPOINT_ID

_CURL = """\
With curl:
  printf '{{"prompt":"What happens?","video_url":"data:video/mp4;base64,%s"}}' "$(base64 -w0 clip.mp4)" |
    curl {trust}-H "content-type: application/json" -d @- {url}/{endpoint}
"""
_JAVASCRIPT = """\
With JavaScript's @fal-ai/client, over plain http:
  const doors = {{"fal.run": "sync", "queue.fal.run": "queue", "rest.fal.ai": "rest"}};
  fal.config({{
    credentials: "any:key",
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
  export FAL_KEY=any:key
"""
_NODE = """\
  The same over https: put {tls_url} there, and
  export NODE_EXTRA_CA_CERTS={ca}
"""


def recipe(url: str, tls_url: str | None, ca: Path) -> str:
    """How to reach the server with fal's clients and with curl.

    tls_url: its https address, if it has one; ca: the certificate that clients then have to trust
    """
    curl = _CURL.format(trust="", url=url, endpoint=ENDPOINT_ID)
    if tls_url is None:
        return "\n".join((curl, _JAVASCRIPT.format(url=url)))
    quoted = shlex.quote(str(ca.absolute()))
    python = _PYTHON.format(authority=tls_url.removeprefix("https://"), ca=quoted)
    node = _NODE.format(tls_url=tls_url, ca=quoted)
    curl = _CURL.format(trust=f"--cacert {quoted} ", url=tls_url, endpoint=ENDPOINT_ID)
    return "\n".join((python, _JAVASCRIPT.format(url=url) + node, curl))
