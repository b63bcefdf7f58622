"""Read-only connections to libvirt, and libvirt's errors in words that say what to do."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

import libvirt

from kvmwatch.model.errors import KvmwatchError

Connection = Any  # libvirt.virConnect; the binding has no type hints
LibvirtDomain = Any  # libvirt.virDomain

DEFAULT_URI = "qemu:///system"

# libvirt prints every error on stderr unless a handler takes it; the exceptions tell us the same.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


def default_uri() -> str:
    """``$LIBVIRT_DEFAULT_URI`` as virsh has it, else the system's QEMU driver."""
    return os.environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI


def uri_scheme(uri: str) -> str:
    """The driver that a URI names: "qemu" for qemu+ssh://host/system."""
    return urlsplit(uri).scheme.split("+")[0]


def is_local(uri: str) -> bool:
    """Whether the hypervisor of this URI is this very machine, so that /proc and statvfs tell of it."""
    parts = urlsplit(uri)
    return not parts.hostname and uri_scheme(uri) != "test"


def is_ssh(uri: str) -> bool:
    """Whether a connection to this URI costs an ssh session."""
    return "ssh" in urlsplit(uri).scheme


def open_readonly(uri: str) -> Connection:
    """Open a read-only connection (virConnectOpenReadOnly; may block). Raises KvmwatchError."""
    parts = urlsplit(uri)
    if not parts.scheme:
        raise KvmwatchError(f"{uri!r} is not a libvirt URI; use for instance -u qemu:///system")
    if parts.scheme == "test" and parts.path not in ("/default", "") and not os.path.exists(parts.path):
        # said here, because libxml2 writes its own line on stderr
        raise KvmwatchError(f"no such test driver file: {parts.path}")
    try:
        return libvirt.openReadOnly(uri)
    except libvirt.libvirtError as error:
        raise explained(error, uri) from error


def open_readwrite(uri: str) -> Connection:
    """Open a connection that may ask the guest agents (may block). Raises KvmwatchError."""
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise explained(error, uri) from error


#: a daemon's socket; libvirt's monolithic one has no name of its own in it
_SOCKET = re.compile(r"/(virt\w+d)-sock")


def explained(error: libvirt.libvirtError, uri: str) -> KvmwatchError:
    """Turn libvirt's error on this URI into one line with what to do."""
    text = " ".join(str(error).split())
    code = error.get_error_code()
    advice = "see 'virsh -r -c URI list' for the same error"
    if "Permission denied" in text:
        import getpass  # noqa: PLC0415 - only to tell of an error

        advice = f"let user {getpass.getuser()} read the socket (group libvirt, or unix_sock_ro_perms)"
    elif "onnect socket to" in text and ("No such file" in text or "Connection refused" in text):
        named = _SOCKET.search(text)
        if named and named[1] != "virtqemud":  # another one of the modular daemons
            text = f"{named[1]} is not running: {text}"
            advice = f"start it: systemctl start {named[1]}.socket"
            if named[1] == f"virt{uri_scheme(uri)}d":  # which any word is taken to have
                advice += "; or check the URI; the usual one is qemu:///system"
        else:
            text = f"libvirt is not running: {text}"
            advice = "start it: systemctl start virtqemud.socket (or libvirtd)"
    elif "Connection refused" in text or "unable to connect to server" in text:
        advice = "check the host and port of the URI, and that libvirt listens there"
    elif "uthenti" in text or code in (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED):
        advice = "allow read-only access in polkit (org.libvirt.unix.monitor) or in libvirtd.conf"
    elif code in (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_ARG):
        advice = "check the URI; the usual one is qemu:///system"
    elif "onnection reset" in text or "socket is closed" in text or "End of file" in text:
        text = f"libvirt went away during the reading: {text}"
        advice = "it was restarted or it crashed; the next check will tell"
    elif code == libvirt.VIR_ERR_NO_SUPPORT:
        advice = "this libvirt driver cannot tell it"
    return KvmwatchError(f"{_without_password(uri)}: {text}; {advice}")


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri
