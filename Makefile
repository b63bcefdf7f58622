# kvmwatch: "make demo" and "make test" are all a fresh machine needs; the rest is for people who change it.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
READY := .venv/.ready

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(READY): pyproject.toml tools/setup
	@tools/setup
	@touch $@

.PHONY: demo
demo: $(READY) ## Judge this machine's VMs (or the example hypervisor's) as Nagios and Zabbix would
	@examples/demo

.PHONY: test
test: test-quick test-labs test-systems ## Run every test; those of the lab and the systems need root (they bring up their own libvirt, guests and daemons)

.PHONY: test-quick
test-quick: $(READY) ## Run what needs no root and no daemon: lint, unit and test driver tests, in about a minute
	@$(MAKE) --no-print-directory --output-sync --jobs lint unit waiting

.PHONY: test-unit
test-unit: $(READY) ## Run the unit and test driver tests: no root, no daemon
	@$(MAKE) --no-print-directory --output-sync --jobs unit waiting

# what waits for commands, processes and threads with many workers, what reckons with as many as there are CPUs
.PHONY: unit waiting
unit: $(READY)
	@$(PYTHON) -m pytest -q --workers 3 tests/unit
waiting: $(READY)
	@$(PYTHON) -m pytest -q --workers 16 tests/driver tests/waiting

# the tests of a lab wait half of the time
.PHONY: test-labs
test-labs: $(READY) ## Run the lab tests on both kinds of daemons, beside each other; some modules on one of them (tests/conftest.py)
	@[ "$$(id -u)" != 0 ] || { tools/setup lab && tools/setup modular; }
	@KVMWATCH_LAB_SHARED=yes $(MAKE) --no-print-directory --jobs 2 test-lab test-lab-modular

.PHONY: test-lab
test-lab: $(READY) ## Run the lab tests: a real libvirtd with real QEMU guests, in namespaces of their own
	@tests/lab/run $(PYTHON) -m pytest -q tests/lab

.PHONY: test-lab-modular
test-lab-modular: $(READY) ## Run the lab tests on libvirt's modular daemons, which RHEL 9 and Fedora run (compiles them once)
	@[ "$$(id -u)" != 0 ] || tools/setup modular
	@KVMWATCH_LAB_DAEMONS=modular tests/lab/run $(PYTHON) -m pytest -q tests/lab

.PHONY: test-systems
test-systems: $(READY) ## Run the systems tests: our packages, and a real Zabbix, Nagios, NRPE and Icinga that watch the lab (root)
	@[ "$$(id -u)" != 0 ] || { tools/setup systems && tools/setup packages; }
	@$(MAKE) --no-print-directory --jobs 2 systems-zabbix systems-others

# the tests of Zabbix and of Prometheus beside all others, each in a lab of its own: they take as long
.PHONY: systems-zabbix systems-others
systems-zabbix: $(READY)
	@tests/lab/run $(PYTHON) -m pytest -q tests/systems/test_prometheus.py tests/systems/test_zabbix*.py
systems-others: $(READY)
	@tests/lab/run $(PYTHON) -m pytest -q --ignore-glob='*/test_zabbix*' --ignore-glob='*/test_prometheus.py' --ignore-glob='*_pager.py' tests/systems

.PHONY: test-pager
test-pager: $(READY) ## Count what a real Nagios and a real Icinga tell of a dead libvirtd, a reboot, a busy VM and a dead agent (root; a quarter of an hour, on an idle machine)
	@tools/setup systems
	@tests/lab/run $(PYTHON) -m pytest -q tests/systems/test_pager.py tests/systems/test_distributed_pager.py

.PHONY: test-faults
test-faults: $(READY) ## Count whom a real Nagios and a real Icinga tell of thirty faults and of normal life, into docs/faults-told.md (root; 15 minutes, on an idle machine)
	@tools/setup systems
	@PYTHONPATH=tests:tests/lab:tests/systems tests/lab/run $(PYTHON) tests/systems/told_faults.py

.PHONY: test-other-debian
test-other-debian: ## Run make demo and make test in a Debian of the other release, 13 or 12 (root; makes it once)
	@tools/other-debian make demo test

.PHONY: test-zabbix7
test-zabbix7: ## Run the systems tests on Debian 13, which has Zabbix 7.0, Icinga 2.14 and libvirt 11 (root; makes it once)
	@. /etc/os-release; case $$VERSION_ID in 13) $(MAKE) test-systems ;; *) tools/other-debian make test-systems ;; esac

.PHONY: test-life
test-life: $(READY) ## Live through an hour of normal life, a reboot and all faults on a real Zabbix (root; MINUTES=10; half an hour)
	@tools/setup systems
	@PYTHONPATH=tests:tests/lab:tests/systems tests/lab/run $(PYTHON) tests/systems/life.py

.PHONY: lab-zabbix
lab-zabbix: $(READY) ## Open a shell beside two hypervisors and a Zabbix that watches them
	@tools/setup systems
	@PYTHONPATH=tests:tests/lab:tests/systems tests/lab/run $(PYTHON) tests/systems/shell.py

.PHONY: pictures
pictures: $(READY) ## Take the README's pictures of the real front ends again (root; MINUTES=12 of watching first)
	@tools/setup systems
	@tools/setup pictures
	@PYTHONPATH=tests:tests/lab:tests/systems tests/lab/run $(PYTHON) tests/systems/pictures.py

.PHONY: picture-top
picture-top: $(READY) ## Take the README's picture of kvmwatch top again, on the example hypervisor
	@PYTHONPATH=tests $(PYTHON) tests/screenshot.py

.PHONY: lab
lab: $(READY) ## Open a shell in the lab, with its guests running
	@tests/lab/run $(PYTHON) tests/lab/shell.py

.PHONY: bench
bench: $(READY) ## Time our commands against virsh, on the lab's guests and on 200 small paused ones (root)
	@tools/setup bench
	@PYTHONPATH=tests/lab tests/lab/run .venv/bench/bin/python tests/bench/bench.py

.PHONY: bench-peers
bench-peers: $(READY) ## Compare the CPU of a collection with that of other exporters and of virt-top, on 100 guests that do nothing (root)
	@tools/setup bench
	@PYTHONPATH=tests/lab tests/lab/run .venv/bench/bin/python tests/bench/peers.py

.PHONY: bench-top
bench-top: $(READY) ## Tell what a reading of kvmwatch top costs in each stage, on the test driver (no root; VMS=100,1000)
	@PYTHONPATH=tests $(PYTHON) tests/bench/top.py

.PHONY: bench-zabbix
bench-zabbix: $(READY) ## Time a Zabbix that is pushed a hypervisor with 1,000 VMs, and these as hosts (root; VMS=1000)
	@tools/setup systems
	@PYTHONPATH=tests:tests/lab:tests/systems tests/lab/run $(PYTHON) tests/bench/zabbix_scale.py

.PHONY: bench-icinga
bench-icinga: $(READY) ## Time publishing a hypervisor with 500 VMs to a real Icinga 2 (root; VMS=500)
	@tools/setup systems
	@PYTHONPATH=tests:tests/lab:tests/systems tests/lab/run $(PYTHON) tests/bench/icinga_scale.py

.PHONY: lint
lint: $(READY) ## Check style, format and types
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m mypy --no-error-summary

.PHONY: format
format: $(READY) ## Format the code
	@$(PYTHON) -m ruff check --quiet --fix .
	@$(PYTHON) -m ruff format --quiet .

.PHONY: docs
docs: $(READY) ## Write the pages that are generated (docs/metrics.md, exported.md, alerts.md, states.md, pools.md, man, README's checks)
	@for page in metrics_page exported_page alerts_page states_page pools_page man_pages checks_table; do $(PYTHON) tools/$$page.py; done

.PHONY: templates
templates: $(READY) ## Write the Zabbix templates and their READMEs (templates/) from tools/zabbix_templates
	@PYTHONPATH=tools $(PYTHON) -m zabbix_templates

.PHONY: rules
rules: $(READY) ## Write the rules for Prometheus and Alertmanager (templates/prometheus) from the checks and the alerts
	@PYTHONPATH=tools $(PYTHON) -m prometheus_rules

.PHONY: dashboards
dashboards: $(READY) ## Write the dashboards for Grafana (templates/grafana) from tools/grafana_dashboards
	@PYTHONPATH=tools $(PYTHON) -m grafana_dashboards

.PHONY: deb
deb: ## Build the Debian packages into dist/
	@tools/setup deb
	@tools/deb

.PHONY: wheel
wheel: $(READY) ## Build the Python package into dist/
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir $(or $(DIST),dist) .

.PHONY: definitions
definitions: $(READY) ## Write the definitions for Nagios, NRPE, Icinga 2 and Director (checks/) from the checks' options
	@PYTHONPATH=tools $(PYTHON) -m nagios_definitions

.PHONY: golden
golden: $(READY) ## Rewrite the golden files from what the commands print now; read the diff
	@$(PYTHON) -m pytest -q tests/unit/test_golden_output.py tests/unit/test_list_columns.py tests/unit/test_show.py tests/unit/test_top_drawing.py tests/driver/test_kvmwatch_list.py --golden

.PHONY: generated
generated: docs templates rules dashboards definitions golden ## Write everything that is generated; read the diff

.PHONY: clean
clean: ## Remove what make made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
