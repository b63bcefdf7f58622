"""Nagios's own web pages, served on the lab's loopback: its CGIs below Python's server."""

from __future__ import annotations

import functools
import os
import threading
from http.server import CGIHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nagios import Nagios

URL = "http://127.0.0.1:8090"

CGI_CONF = """
main_config_file={main}
physical_html_path=/usr/share/nagios4/htdocs
url_html_path=/nagios4
use_authentication=0
default_user_name=admin
authorized_for_all_services=admin
authorized_for_all_hosts=admin
refresh_rate=90
"""


class _Handler(CGIHTTPRequestHandler):
    cgi_directories = ["/cgi-bin/nagios4"]  # noqa: RUF012 - as the base class has it

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(nagios: Nagios) -> ThreadingHTTPServer:
    """Serve the pages of a running Nagios until the server is shut down."""
    root = nagios.work / "web"
    (root / "cgi-bin").mkdir(parents=True)
    (root / "nagios4").mkdir()
    (root / "cgi-bin" / "nagios4").symlink_to("/usr/lib/cgi-bin/nagios4")
    for path in Path("/usr/share/nagios4/htdocs").iterdir():
        (root / "nagios4" / path.name).symlink_to(path)
    styles = root / "nagios4" / "stylesheets"
    if not styles.is_symlink():
        styles.symlink_to("/etc/nagios4/stylesheets")
    os.environ["NAGIOS_CGI_CONFIG"] = str(nagios.write("cgi.cfg", CGI_CONF.format(main=nagios.main)))
    server = ThreadingHTTPServer(("127.0.0.1", 8090), functools.partial(_Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
