"""Tasks of this app: what requests leave to others."""

from __future__ import annotations

import json

try:
    from django.tasks import TaskContext, task
except ImportError:  # before Django 6
    from django_tasks import TaskContext, task

from .models import Order


@task
def confirm(number: int) -> str:
    return f"{Order.objects.filter(number=number).count()} of {number} ordered"


@task
async def count(least: int = 0) -> int:
    number: int = await Order.objects.filter(number__gte=least).acount()
    return number


@task
def fail(text: str) -> None:
    json.loads(text)


@task(takes_context=True)
def who_am_i(context: TaskContext) -> list[object]:
    return [context.task_result.id, context.attempt]
