"""The pages: orders are taken by POST, and confirmed by a task."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from .stock.models import Order
from .stock.tasks import confirm


def order(request: HttpRequest, number: int) -> JsonResponse:
    with transaction.atomic():
        Order.objects.create(number=number)
        result = confirm.enqueue(number)  # when the order is committed, and not if it is rolled back
    return JsonResponse({"id": result.id, "status": result.status}, status=201)


def confirmation(request: HttpRequest, result_id: str) -> JsonResponse:
    result = confirm.get_result(result_id)
    return JsonResponse({"status": result.status, "said": result.return_value if result.is_finished else None})


urlpatterns = [path("orders/<int:number>", order), path("confirmations/<result_id>", confirmation)]
