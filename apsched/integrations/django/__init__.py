"""Run the jobs of a Django project (layer 10).

Put `"apsched.integrations.django"` into `INSTALLED_APPS`, declare jobs in the module `jobs` of your apps by
`@scheduled_job`, and run them by `python manage.py apsched run`.
"""

from apsched.integrations.django.declared import scheduled_job

__all__ = ["scheduled_job"]
