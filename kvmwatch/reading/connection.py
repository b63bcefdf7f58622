"""Read-only connections to libvirt, and libvirt's errors in words that say what to do."""

from __future__ import annotations

import _thread
import contextlib
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import libvirt

from kvmwatch.model import users
from kvmwatch.model.errors import KvmwatchError

Connection = Any  # libvirt.virConnect; the binding has no type hints
LibvirtDomain = Any  # libvirt.virDomain
Run = tuple[str, int]  # of a domain: its UUID, and the number that virDomainGetID gives; -1: it is shut off

DEFAULT_URI = "qemu:///system"

#: codes of what a driver cannot do, which is no fault
UNSUPPORTED = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)

_BEGINNING = 0.1  # seconds that a thread has to begin

# libvirt prints every error on stderr unless a handler takes it; the exceptions tell us the same.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


def default_uri() -> str:
    """``$LIBVIRT_DEFAULT_URI`` as virsh has it, else the system's QEMU driver."""
    return os.environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI


def uri_scheme(uri: str) -> str:
    """The driver that a URI names: "qemu" for qemu+ssh://host/system."""
    return _parts(uri)[0].partition("+")[0]


def is_local(uri: str) -> bool:
    """Whether the hypervisor of this URI is this very machine, so that /proc and statvfs tell of it."""
    return not authority(uri) and uri_scheme(uri) != "test"


def is_ssh(uri: str) -> bool:
    """Whether a connection to this URI costs an ssh session."""
    return "ssh" in _parts(uri)[0]


def is_of_session(uri: str) -> bool:
    """Whether it is a daemon of the user's own, not the system's."""
    return _parts(uri)[2] == "/session"


def authority(uri: str) -> str:
    """The user, host and port of a URI: "root@kvm2:22"; empty for this machine."""
    return _parts(uri)[1]


def _parts(uri: str) -> tuple[str, str, str]:
    """Scheme, authority and path; no scheme where it is no URI. (With urllib.parse a check takes 2 % longer.)"""
    scheme, colon, rest = uri.partition("?")[0].partition(":")
    host, slash, path = rest.removeprefix("//").partition("/")
    return scheme.lower() if colon else "", host, slash + path


def open_readonly(uri: str) -> Connection:
    """Open a read-only connection (virConnectOpenReadOnly; may block). Raises KvmwatchError."""
    scheme, _, path = _parts(uri)
    if not scheme:
        raise KvmwatchError(f"{uri!r} is not a libvirt URI; use for instance -u qemu:///system")
    if scheme == "test" and path not in ("/default", "") and not os.path.exists(path):
        # said here, because libxml2 writes its own line on stderr
        raise KvmwatchError(f"no such test driver file: {path}")
    try:
        return opened(libvirt.openReadOnly, uri)
    except libvirt.libvirtError as error:
        raise explained(error, uri) from error


def open_readwrite(uri: str) -> Connection:
    """Open a connection that may ask the guest agents (may block). Raises KvmwatchError."""
    try:
        return opened(libvirt.open, uri)
    except libvirt.libvirtError as error:
        raise explained(error, uri) from error


def opened(how: Callable[[str], Connection], uri: str) -> Connection:
    """Open a connection by libvirt's own function (may block). Raises libvirtError."""
    connection = how(uri)
    connection.__class__ = _Forgettable
    return connection


class _Forgettable(libvirt.virConnect):  # type: ignore[misc] # the binding has no type hints
    """A connection that its last user does not wait for.

    libvirt closes it then (virConnectClose), which asks the daemon: whoever held the last reference hung with a
    daemon that hangs. So a thread closes it, begun with no lock of threading's, for the garbage collector may be
    that user, anywhere.
    """

    def __del__(self) -> None:
        begun = _thread.allocate_lock()
        begun.acquire()
        with contextlib.suppress(RuntimeError):  # no thread is to be had: it ends with the process
            _thread.start_new_thread(_close, (self, begun))
            # so that who looks whether any thread runs sees it; none begins any more while Python ends
            begun.acquire(timeout=_BEGINNING)


def _close(connection: Connection, begun: _thread.LockType) -> None:
    begun.release()
    with contextlib.suppress(libvirt.libvirtError):
        connection.close()


#: the modular daemon whose socket it is; that of libvirtd (and of virtproxyd) has no name of its own in it
_SOCKET = r"/(virt\w+d)-sock"
_CHECK_URI = "check the URI; the usual one is qemu:///system"
_LOST = ("onnection reset", "socket is closed", "End of file")
#: how ssh, and what it runs on the other side, say that there is no way to a libvirt
_SSH_FAILED = (
    *(*_LOST, "Permission denied", "verification failed", "ould not resolve"),
    *("Connection refused", "imed out", "unix connect failed", "onnect socket to"),
)


def explained(error: libvirt.libvirtError, uri: str) -> KvmwatchError:
    """Turn libvirt's error on this URI into one line with what to do."""
    text = one_line(error)
    code = error.get_error_code()
    advice = "see 'virsh -r -c URI list' for the same error"
    if is_ssh(uri) and any(words in text for words in _SSH_FAILED):
        text, advice = _explained_ssh(text, uri)
    elif "Permission denied" in text:
        advice = f"let user {users.name()} read the socket (group libvirt, or unix_sock_ro_perms)"
    elif "onnect socket to" in text and ("No such file" in text or "Connection refused" in text):
        text, advice = _explained_socket(text, uri)
    elif "Connection refused" in text or "unable to connect to server" in text:
        advice = "check the host and port of the URI, and that libvirt listens there"
    elif "uthenti" in text or code in (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED):
        advice = "allow read-only access in polkit (org.libvirt.unix.monitor) or in libvirtd.conf"
    elif code in (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_ARG):
        advice = _CHECK_URI
    elif any(words in text for words in _LOST):
        text = f"libvirt went away during the reading: {text}"
        advice = "it was restarted or it crashed; the next check will tell"
    elif code == libvirt.VIR_ERR_NO_SUPPORT:
        advice = "this libvirt driver cannot tell it"
    return KvmwatchError(f"{uri}: {text}; {advice}")


def one_line(error: Exception) -> str:
    """The text of an error, in one line."""
    return " ".join(str(error).split())


def uuid_of(domain: LibvirtDomain) -> str:
    """Its UUID. The binding makes the text anew each time, for 10 us, and a reading looks at it 20 times."""
    try:
        known: str = domain.kvmwatch_uuid
    except AttributeError:
        known = domain.kvmwatch_uuid = domain.UUIDString()
    return known


def run_of(domain: LibvirtDomain) -> Run:
    """The run that it was looked up in."""
    return uuid_of(domain), domain.ID()


def looked_up(connection: Connection, uuids: Iterable[str]) -> list[LibvirtDomain]:
    """The domains of these UUIDs, without those that are gone. Raises libvirtError."""
    found = []
    for uuid in uuids:
        try:
            found.append(connection.lookupByUUIDString(uuid))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                continue
            if not connection.isAlive():
                raise
            found += [domain for domain in connection.listAllDomains(0) if uuid_of(domain) == uuid]
    return found


_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK)


def of_it_alone(error: libvirt.libvirtError, thing: Any) -> str:
    """The text of an error that is about this domain or network; raises it when that or the connection is gone."""
    if error.get_error_code() in _GONE or not thing.connect().isAlive():
        raise error
    return one_line(error)


def _explained_socket(text: str, uri: str) -> tuple[str, str]:
    """The text and advice for a socket of this machine at which nobody listens."""
    named = re.search(_SOCKET, text)
    daemon = named[1] if named else "libvirtd"
    unit = daemon if daemon == "libvirtd" else f"{daemon}.socket"
    advice = f"start it: systemctl start {unit}"
    if uri_scheme(uri) != "qemu" and daemon in ("libvirtd", f"virt{uri_scheme(uri)}d"):
        advice += f"; or {_CHECK_URI}"  # any word is taken to name a daemon
    who = "libvirt" if daemon in ("libvirtd", "virtqemud") else daemon
    return f"{who} is not running: {text}", advice


def _explained_ssh(text: str, uri: str) -> tuple[str, str]:
    from urllib.parse import urlsplit  # noqa: PLC0415 - only to tell of an error

    parts = urlsplit(uri)
    host = parts.hostname or "localhost"
    if "unix connect failed" in text or "onnect socket to" in text:
        return f"libvirt is not running on {host}: {text}", "start it there"
    target = f"{parts.username}@{host}" if parts.username else host
    port = f" -p {parts.port}" if parts.port else ""
    return f"no way there by ssh: {text}", f"try 'ssh{port} {target}' as user {users.name()}"
