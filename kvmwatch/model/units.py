"""Values for people: 3.2 GiB, 12 ms, 1.4 Mbit/s, 4 h."""

from __future__ import annotations

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DECIMAL = ("bit", "kbit", "Mbit", "Gbit", "Tbit")
_FEW = 0.05  # a second, which would be written as 0


def human(value: float, unit: str) -> str:
    """Format a value in a base unit: B, B/s, b/s, s, %, /s, or "" for a count."""
    if unit in ("B", "B/s"):
        return _scaled(value, 1024, _BINARY) + unit[1:]
    if unit == "b/s":
        return _scaled(value, 1000, _DECIMAL) + "/s"
    if unit == "s":
        return duration(value)
    if unit == "%":
        return f"{_digits(value)} %"
    if unit == "/s" and 0 < abs(value) < _FEW:
        return f"{float(f'{value:.1g}'):f}".rstrip("0").rstrip(".") + unit  # one error a minute is not none
    return _digits(value) + unit


def duration(seconds: float) -> str:
    """Format a time: 340 us, 12 ms, 3.2 s, 95 s, 17 min, 4 h, 12 d."""
    for limit, per, name in (
        (1e-3, 1e-6, "us"),
        (1, 1e-3, "ms"),
        (120, 1, "s"),
        (7200, 60, "min"),
        (172800, 3600, "h"),
    ):
        if _below(seconds / per, limit / per):
            return f"{_digits(seconds / per)} {name}"
    return f"{_digits(seconds / 86400)} d"


def two_units(seconds: float) -> str:
    """Format a long time by its two largest units: 3 d 4 h, 2 h 5 min, 45 s."""
    parts: list[tuple[int, str]] = []
    left = int(seconds)
    for per, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, per)
        if number or (parts and name != "s"):
            parts.append((number, name))
    return " ".join(f"{number} {name}" for number, name in parts[:2] if number) or "0 s"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    for name in names[:-1]:
        if _below(value, base):
            return f"{_digits(value)} {name}"
        value /= base
    return f"{_digits(value)} {names[-1]}"


def _below(value: float, limit: float) -> bool:
    """Whether it is less than a larger unit, also when it is written: 1023.9 KiB is 1 MiB."""
    return abs(value) < limit - 0.5


def _digits(value: float) -> str:
    """One decimal below ten, where it says something; else none."""
    text = f"{round(value, 1) + 0.0:.1f}" if abs(value) < 9.95 else f"{value:.0f}"  # no -0
    return text[:-2] if text.endswith(".0") else text
