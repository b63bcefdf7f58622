"""Requests to APIs that may answer anything, or never: a limit for the time of the whole and for the size.

requests has a limit for each wait for a few bytes only, so an API that drips is read for ever; it unpacks whatever
comes, and follows redirects with what was for somebody else.
"""

from __future__ import annotations

import io
import ipaddress
import re
import zlib
from typing import Any

import requests
import urllib3

from kvmwatch.command.options import ALLOW_HTTP
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.reading.deadline import Deadline, Started

_PIECE = 65536
_TOLD = 200  # characters of what an API says that are repeated
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def check_private(url: str, allowed: bool) -> None:
    """Whether credentials may go to a URL: encrypted, or to this machine; or ``allowed``. Else a KvmwatchError."""
    try:
        parsed = urllib3.util.parse_url(url)  # as the request will read it
    except urllib3.exceptions.LocationParseError:
        raise KvmwatchError(f"{one_line(repr(url))} is not a URL") from None
    if parsed.scheme != "https" and not _is_here(parsed.host or "") and not allowed:
        raise KvmwatchError(
            f"{one_line(url)}: everybody on the way could read the credentials; use https://, or give {ALLOW_HTTP}"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Session(requests.Session):  # type: ignore[misc]
    """A session whose every request needs ``timeout``, in seconds and for all of it: name, connection, answer.

    What fails raises a requests.RequestException; a redirect is one.
    """

    def __init__(self, limit: int) -> None:
        """``limit``: bytes that an answer may have, also when it is unpacked."""
        super().__init__()
        self._limit = limit
        self.headers["Accept-Encoding"] = "identity"

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send it, in a thread that is left behind when there is no whole answer in time."""
        started = Started(lambda: self._whole(request, {**options, "stream": True}))
        try:
            return started.wait(Deadline(options["timeout"]))
        except DeadlineExceeded:
            raise requests.Timeout("no whole answer in time") from None

    def merge_environment_settings(self, url: str, *options: Any) -> Any:
        """What the environment says of proxies and CAs; there is no proxy between us and this machine itself."""
        merged = super().merge_environment_settings(url, *options)
        if _is_here(urllib3.util.parse_url(url).host or ""):
            merged["proxies"] = {}
        return merged

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: no redirect is followed."""

    def _whole(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        answer = super().send(request, **options)
        if 300 <= answer.status_code < 400:
            answer.close()
            where = one_line(answer.headers.get("Location", "nowhere"))
            raise requests.RequestException(f"it redirects to {where}, which is not followed")
        try:
            body = self._unpacked(self._body(answer), answer.headers.get("Content-Encoding", "identity").lower())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error) from None
        finally:
            answer.close()
        answer.raw = io.BytesIO(body)
        answer.encoding = "utf-8"  # as all JSON; guessing it takes long
        return answer

    def _body(self, answer: requests.Response) -> bytes:
        body = bytearray()
        while piece := answer.raw.read(_PIECE, decode_content=False):
            body += piece
            self._check(len(body))
        return bytes(body)

    def _unpacked(self, body: bytes, encoding: str) -> bytes:
        if encoding in ("identity", ""):
            return body
        if encoding not in ("gzip", "deflate"):
            raise requests.exceptions.ContentDecodingError(
                f"it answers as {one_line(encoding)}, which was not asked"
            )
        try:
            unpacked = zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, self._limit + 1)
        except zlib.error as error:
            raise requests.exceptions.ContentDecodingError(f"it answers in bad {encoding}: {error}") from None
        self._check(len(unpacked))
        return unpacked

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise requests.RequestException(f"it answers with more than {self._limit // 1024} KiB")


def reason(error: requests.RequestException) -> str:
    """Why there is no answer, in one line: the innermost of what urllib3 and requests wrap it in."""
    inner: Exception = error
    while isinstance(deeper := getattr(inner, "reason", None) or next(iter(inner.args), None), Exception):
        inner = deeper
    # "HTTPConnection(host='kvm1', port=1): Failed to establish a new connection: ..."
    return one_line(re.sub(r"^.*?: (?=Failed to )", "", str(inner)) or type(inner).__name__)


def one_line(said: object) -> str:
    """What an API or an error says, short enough for one line."""
    text = " ".join(str(said)[: 10 * _TOLD].split())
    return text if len(text) <= _TOLD else text[:_TOLD] + "..."
