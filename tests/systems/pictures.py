"""Pictures of the real front ends, for the README: "make pictures" writes docs/pictures/.

What they show is the lab: two hypervisors with real guests, watched for some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nagios
import nagios_web
from fleet import Fleet
from running import running
from selenium import webdriver
from selenium.webdriver.common.by import By

import zabbix

FOLDER = zabbix.CHECKOUT / "docs" / "pictures"
WIDTH = 1600
_CLOSE_TIME_FILTER = "document.querySelector('.ui-tabs-active a.btn-time')?.click()"


class Browser:
    """Headless Chromium that is logged in."""

    def __init__(self) -> None:
        """Start it; it has no network but the loopback interface, and asks for none."""
        options = webdriver.ChromeOptions()
        for argument in (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--disable-dev-shm-usage", f"--window-size={WIDTH},1000"),
        ):
            options.add_argument(argument)
        options.binary_location = "/usr/bin/chromium"
        self.driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))

    def log_in(self) -> None:
        """Log in to Zabbix's front end."""
        self.driver.get(zabbix.URL)
        self.driver.find_element(By.ID, "name").send_keys(zabbix.USER)
        self.driver.find_element(By.ID, "password").send_keys(zabbix.PASSWORD)
        self.driver.find_element(By.ID, "enter").click()
        time.sleep(2)

    def take(self, name: str, path: str, before: Callable[[webdriver.Chrome], None] | None = None) -> None:
        """Open a page of Zabbix, wait for its widgets, and write NAME.png of its whole height."""
        self.open(f"{zabbix.URL}/{path}")
        time.sleep(3)
        self.driver.execute_script(_CLOSE_TIME_FILTER)
        if before:
            before(self.driver)
        self.write(name, "document.querySelector('.wrapper main').scrollHeight + 190")

    def open(self, url: str) -> None:
        """Open a page in a window of usual height."""
        self.driver.set_window_size(WIDTH, 1000)
        self.driver.get(url)

    def write(self, name: str, height: str) -> None:
        """Write NAME.png, with the height that a script gives."""
        pixels = int(self.driver.execute_script(f"return {height}"))
        self.driver.set_window_size(WIDTH, min(max(pixels, 600), 2600))
        time.sleep(4)
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(FOLDER / f"{name}.png"))
        print(f"docs/pictures/{name}.png", flush=True)


def page(number: int) -> Callable[[webdriver.Chrome], None]:
    """Click on a page of a dashboard, from 1."""

    def click(driver: webdriver.Chrome) -> None:
        tabs = driver.find_elements(By.CSS_SELECTOR, ".dashboard-navigation-tabs li div")
        tabs[number - 1].click()
        time.sleep(3)

    return click


def take_all(site: zabbix.Zabbix) -> None:
    """Take the pictures of a Zabbix that has watched for a while."""
    browser = Browser()
    browser.log_in()
    span = "from=now-10m&to=now"
    hypervisor = site.host("kvm1")["hostid"]
    guest = next(host for host in site.call("host.get", search={"name": "web1"}) if len(host["host"]) == 36)
    (dashboard,) = site.call("dashboard.get", filter={"name": "KVM: all hypervisors"})
    noc = f"zabbix.php?action=dashboard.view&dashboardid={dashboard['dashboardid']}&{span}"
    browser.take("zabbix-noc", noc)
    browser.take("zabbix-noc-vms", noc, page(2))
    browser.take("zabbix-noc-guests", noc, page(3))
    board = f"zabbix.php?action=host.dashboard.view&hostid={hypervisor}&{span}"
    browser.take("zabbix-hypervisor", board)
    browser.take("zabbix-hypervisor-vms", board, page(2))
    browser.take("zabbix-hypervisor-each", board, page(3))
    browser.take("zabbix-hypervisor-pools", board, page(6))
    browser.take("zabbix-guest", f"zabbix.php?action=host.dashboard.view&hostid={guest['hostid']}&{span}")
    browser.take("zabbix-latest", f"zabbix.php?action=latest.view&hostids[]={guest['hostid']}&filter_set=1")
    browser.driver.quit()


def take_nagios(fleet: Fleet) -> None:
    """Take the picture of a Nagios that nagios_kvm publish feeds."""
    site = nagios.Nagios()
    file = site.work / "objects" / "kvm1.cfg"
    config = fleet.kvm("nagios_kvm", "config", "--format", "nagios", "--host", "kvm1", "--output", str(file))
    assert config.code == 0, config.err
    with running(site):
        for _ in range(3):
            fleet.kvm("nagios_kvm", "publish", "--host", "kvm1", "--to", str(site.work / "rw" / "nagios.cmd"))
            time.sleep(5)
        server = nagios_web.serve(site)
        browser = Browser()
        # the worst first, and of those that are well only some
        browser.open(f"{nagios_web.URL}/cgi-bin/nagios4/status.cgi?host=kvm1&sorttype=2&sortoption=3&limit=40")
        browser.write("nagios", "document.body.scrollHeight + 90")
        browser.driver.quit()
        server.shutdown()


def main() -> None:
    """Bring everything up, watch for some minutes, take the pictures."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    minutes = float(os.environ.get("MINUTES", "12"))
    with Fleet() as fleet:
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            fleet.push()
            time.sleep(10)
        take_all(fleet.zabbix)
        take_nagios(fleet)
    for picture in sorted(Path(FOLDER).glob("*.png")):
        subprocess.run(["convert", picture, "-strip", "-colors", "128", picture], check=True)


if __name__ == "__main__":
    main()
