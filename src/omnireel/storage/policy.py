"""From the deployment's settings to what may be fetched."""

import functools

from omnireel.net.connector import EgressPolicy
from omnireel.net.proxy_tunnel import Proxy
from omnireel.settings import Settings
from omnireel.storage.media import FetchPolicy


def fetch_policy(settings: Settings, *, takes_paths: bool = False) -> FetchPolicy:
    """The rule for `fetch_video`; takes_paths: see there."""
    egress = egress_policy(settings)
    return FetchPolicy(settings.incoming_dir, settings.max_data_uri_bytes, egress, takes_paths=takes_paths)


@functools.cache
def egress_policy(settings: Settings) -> EgressPolicy:
    """What may be connected to, for a video or for a webhook.

    One for a deployment: a host's connections are counted in it, whoever asks for them.
    """
    return EgressPolicy(
        max_bytes=settings.max_download_bytes,
        allow=settings.fetch_allow,
        deny=settings.fetch_deny,
        hosts=settings.fetch_hosts,
        deny_hosts=settings.fetch_deny_hosts,
        proxy=Proxy(*settings.fetch_proxy) if settings.fetch_proxy else None,
        ports=settings.fetch_ports,
        allow_http=settings.allow_http,
    )
