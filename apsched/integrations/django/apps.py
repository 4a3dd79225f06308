"""The Django app (layer 10)."""

from __future__ import annotations

from django.apps import AppConfig


class SchedulerConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Adds the command `apsched` to a project; it has no models, since a job store makes its own tables."""

    name = "apsched.integrations.django"
    label = "apsched"
    verbose_name = "apsched"
