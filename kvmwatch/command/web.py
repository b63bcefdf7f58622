"""Requests to APIs that may answer anything, or never: a limit for the time of the whole and for the size.

requests has a limit for each wait for a few bytes only, so an API that drips is read for ever; it unpacks whatever
comes, and follows redirects with what was for somebody else.
"""

from __future__ import annotations

import base64
import html
import io
import ipaddress
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import requests
import urllib3

from kvmwatch.command.options import ALLOW_HTTP
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.model.text import readable
from kvmwatch.reading.deadline import Deadline, Started

_PIECE = 65536
_TOLD = 200  # characters of what an API says that are repeated
_READ = 100 * _TOLD  # and those that are looked through for secrets
_BLANK = "***"
_SHORT = 4  # characters: of so few, what stands within a word is no secret
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

    What fails raises a requests.RequestException; a redirect is one. It may repeat what was answered:
    :meth:`Secrets.reason` tells it.
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
            where = answer.headers.get("Location", "nowhere")
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
            raise requests.exceptions.ContentDecodingError(f"it answers as {encoding}, which was not asked")
        try:
            unpacked = zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, self._limit + 1)
        except zlib.error as error:
            raise requests.exceptions.ContentDecodingError(f"it answers in bad {encoding}: {error}") from None
        self._check(len(unpacked))
        return unpacked

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise requests.RequestException(f"it answers with more than {self._limit // 1024} KiB")


class Secrets:
    """What went with a request and is said nowhere: an answer, or an error, may repeat it.

    All that is said of either goes through here before it is cut, or half of a secret could be left.
    """

    def __init__(self, *words: str) -> None:
        """``words``: passwords, tokens, and ``user:password`` where that goes together, as for HTTP's "Basic"."""
        forms = sorted({form for word in words if word for form in _forms(word)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_to_find, forms)) or "(?!)", re.IGNORECASE)
        self._longest = max(map(len, forms), default=0)

    def one_line(self, said: object) -> str:
        """What an API or an error says, short enough for one line, with *** for secrets in it."""
        text = str(said)
        shown = self._pattern.sub(_BLANK, text[:_READ])
        if len(text) > _READ:  # in the middle of one, maybe
            shown = shown[: max(0, len(shown) - self._longest)]
        return one_line(shown)

    def reason(self, error: requests.RequestException) -> str:
        """Why there is no answer, in one line, the same way."""
        return self.one_line(_innermost(error))


def _forms(word: str) -> Iterator[str]:
    """How a secret can stand in an answer: as it is, in Base64, or either of them escaped for URLs, JSON, HTML."""
    encoded = word.encode(errors="surrogateescape")  # of the environment
    in_base64 = (of(encoded).decode().rstrip("=") for of in (base64.b64encode, base64.urlsafe_b64encode))
    for plain in (word, *in_base64):
        octets = plain.encode(errors="surrogateescape")
        yield plain
        yield from (quote(octets), quote(octets, safe=""), quote_plus(octets), html.escape(plain))
        yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], repr(plain)[1:-1])
        yield json.dumps(plain)[1:-1].replace("/", "\\/")  # as PHP has it


def _to_find(form: str) -> str:
    found = re.escape(form)
    return found if len(form) >= _SHORT else rf"(?<!\w){found}(?!\w)"


def _innermost(error: requests.RequestException) -> str:
    """What is within all that urllib3 and requests wrap it in."""
    inner: Exception = error
    while isinstance(deeper := getattr(inner, "reason", None) or next(iter(inner.args), None), Exception):
        inner = deeper
    # "HTTPConnection(host='kvm1', port=1): Failed to establish a new connection: ..."
    return re.sub(r"^.*?: (?=Failed to )", "", str(inner)) or type(inner).__name__


def one_line(said: object) -> str:
    """What an API or an error says, short enough for one line; where secrets were sent, see :class:`Secrets`."""
    text = readable(" ".join(str(said)[: 10 * _TOLD].split()), 10 * _TOLD)  # no escape sequences for a terminal
    return text if len(text) <= _TOLD else text[:_TOLD] + "..."
