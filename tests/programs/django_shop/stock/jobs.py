"""Jobs of this app: found by their module's name."""

from __future__ import annotations

from apsched.integrations.django import scheduled_job

from .models import Order


@scheduled_job("interval", seconds=1, id="count-orders")
def count_orders() -> int:
    number: int = Order.objects.count()
    return number


@scheduled_job("cron", hour=3, day_of_week="mon-fri", tags={"team": "stock"})
async def empty_stock() -> int:
    deleted: tuple[int, object] = await Order.objects.filter(number__lt=0).adelete()
    return deleted[0]
