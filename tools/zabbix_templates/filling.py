"""What is told of anything that fills up: file systems and pools."""

from __future__ import annotations

from zabbix_templates.model import Macro, Trigger

MACROS = (
    Macro("{$KVM.FORECAST.HISTORY}", "2d", "What forecasts look back at"),
    Macro("{$KVM.FORECAST.FROM}", "60", "No forecast below this utilization, %"),
)  # fmt: skip


def filling(
    title: str, what: str, usage: str, macros: tuple[str, str, str], cure: str, alerts: str = ""
) -> tuple[Trigger, ...]:
    """Nearly full, full, and full soon: of file systems and pools."""
    warn, most, left = macros
    full, nearly = f"{title}Is full", f"{title}Is nearly full"
    return (
        Trigger(
            full,
            f"min({usage},5m)>{most}{alerts}",
            "HIGH",
            f"{what} with next to no room: what writes to it will fail or stop.",
            cure,
            "capacity",
            opdata="{ITEM.LASTVALUE1}",
        ),
        Trigger(
            nearly,
            f"min({usage},5m)>{warn}{alerts}",
            "WARNING",
            f"{what} with little room left.",
            cure,
            "capacity",
            opdata="{ITEM.LASTVALUE1}",
            depends=(full,),
        ),
        Trigger(
            f"{title}Will be full soon",
            f"last({usage})>{{$KVM.FORECAST.FROM}} and timeleft({usage},{{$KVM.FORECAST.HISTORY}},100)<{left} "
            f"and timeleft({usage},{{$KVM.FORECAST.HISTORY}},100)>=0{alerts}",
            "WARNING",
            f"{what} that fills up in this time if it goes on as in the history that the forecast looks at.",
            cure,
            "capacity",
            opdata="{ITEM.LASTVALUE1}",
            depends=(nearly,),
        ),
    )
