"""A receiver for NRDP, of ours: Debian does not have Nagios's, which is PHP.

It takes what that documents, and nothing else: a form with ``token``, ``cmd=submitcheck`` and ``XMLDATA``, whose
checkresults have a type, a host's and a service's name, a state and an output. It answers in that one's words, with
HTTP 200 also when it refuses. What it takes it gives to ``taken``, or writes as that one does for Nagios to read.
"""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from hanging import Handler

TOKEN = "0123456789abcdef"
FIELDS = ("hostname", "servicename", "state", "output")
_MOST = 8 * 1024 * 1024  # bytes: PHP's post_max_size
_NUMBERS = count()


class Sent(NamedTuple):
    """A result as it came."""

    host: str
    service: str
    code: int
    output: str


class Receiver:
    """A ``behave`` of :func:`hanging.api`."""

    def __init__(self, spool: Path | None = None) -> None:
        """``spool``: a check_result_path of a Nagios, which is to have what comes."""
        self.taken: list[Sent] = []
        self.batches: list[int] = []  # how many came in each request
        self._spool = spool

    def __call__(self, handler: Handler) -> None:
        """Answer a request."""
        refused = self._refused(handler)
        if refused:
            _answer(handler, f"<status>-1</status><message>{escape(refused)}</message>")
            return
        results = [_result(one) for one in ET.fromstring(dict(handler.asked)["XMLDATA"])]
        self.taken += results
        self.batches.append(len(results))
        if self._spool:
            for result in results:
                _write(self._spool, result)
        output = f"<meta><output>{len(results)} checks processed.</output></meta>"
        _answer(handler, f"<status>0</status><message>OK</message>{output}")

    def _refused(self, handler: Handler) -> str:
        if handler.headers["Content-Type"] != "application/x-www-form-urlencoded":
            return "NO REQUEST HANDLER"
        if int(handler.headers["Content-Length"]) > _MOST:
            return "POST Content-Length exceeds the limit"
        if sorted(name for name, _ in handler.asked) != ["XMLDATA", "cmd", "token"]:
            return f"not the fields of submitcheck: {[name for name, _ in handler.asked]}"
        fields = dict(handler.asked)
        if fields["token"] != TOKEN:
            return "BAD TOKEN"
        if fields["cmd"] != "submitcheck":
            return "NO REQUEST HANDLER"
        try:
            root = ET.fromstring(fields["XMLDATA"])
        except ET.ParseError as error:
            return f"BAD XML: {error}"
        if root.tag != "checkresults" or not len(root):
            return "BAD XML: no checkresults"
        return next((why for one in root if (why := _wrong(one))), "")


def _wrong(one: ET.Element) -> str:
    """What is wrong with a checkresult; empty when nothing is."""
    if one.tag != "checkresult" or one.attrib != {"type": "service", "checktype": "1"}:
        return f"not a passive result of a service: {one.tag} {one.attrib}"
    if tuple(field.tag for field in one) != FIELDS or not all(field.text for field in one):
        return f"not the fields of a checkresult: {[(field.tag, field.text) for field in one]}"
    if one[2].text not in ("0", "1", "2", "3"):
        return f"no state: {one[2].text}"
    return ""


def _result(one: ET.Element) -> Sent:
    host, service, state, output = (field.text or "" for field in one)
    return Sent(host, service, int(state), output)


def _answer(handler: Handler, text: str) -> None:
    body = f'<?xml version="1.0" encoding="utf-8"?>\n<result>{text}</result>\n'
    handler.tell(body.encode(), Content_Type="text/xml")


def _write(spool: Path, result: Sent) -> None:
    """Write a result as NRDP's nagioscorepassivecheck does: a file each, newlines as \\\\n, and nothing else escaped."""
    file = spool / f"c{next(_NUMBERS):06}"  # no two are the same, one of which Nagios would never see
    output = result.output.replace("\n", "\\n")
    text = (
        f"### NRDP Check ###\nstart_time={int(time.time())}.0\nhost_name={result.host}\n"
        f"service_description={result.service}\ncheck_type=1\nearly_timeout=0\nexited_ok=1\n"
        f"return_code={result.code}\noutput={output}\\n\n"
    )
    file.write_text(text.replace("\t", " "), encoding="utf-8")
    file.with_name(f"{file.name}.ok").touch()
