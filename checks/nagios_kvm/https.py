"""Passive results over HTTPS: whom a session trusts, how it outlives a reload, and why there was no answer."""

from __future__ import annotations

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context

from kvmwatch.command.web import Secrets, Session

_LIMIT = 1024 * 1024  # bytes of an answer

# Icinga closes its connections when it loads another configuration, and for a second or two takes no new ones;
# what it had taken before may then come twice. Between the tries: 0, 1 and 2 s.
_RELOADS = Retry(
    total=3, connect=3, read=1, redirect=0, status=0, other=0, backoff_factor=0.5, allowed_methods=None
)


class _Adapter(HTTPAdapter):  # type: ignore[misc]
    """Outlives a reload of Icinga, and takes certificates as Icinga makes them: without identifiers of their keys.

    Python 3.13 with urllib3 2.4 asks for these (VERIFY_X509_STRICT), and refuses every Icinga with its own CA.
    """

    def __init__(self) -> None:
        super().__init__(max_retries=_RELOADS)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        context = create_urllib3_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        super().init_poolmanager(*arguments, ssl_context=context, **more)


def session(ca_file: str | None = None, limit: int = _LIMIT) -> Session:
    """A session that trusts this CA, or else those of the system; an answer may have ``limit`` bytes."""
    trusting = Session(limit)
    for scheme in ("https://", "http://"):
        trusting.mount(scheme, _Adapter())
    trusting.verify = ca_file or True
    trusting.trust_env = False  # no proxy or CA bundle of the environment between a hypervisor and its Icinga
    trusting.headers["Accept"] = "application/json"
    return trusting


def no_answer(whose: str, error: requests.RequestException, secrets: Secrets) -> str:
    """Why there is none, in one line."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"its certificate cannot be verified ({secrets.reason(error)}); name its CA with --ca-file"
    return f"no {whose} answers: {secrets.reason(error)}"
