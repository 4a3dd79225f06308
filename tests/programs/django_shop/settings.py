"""What Django needs to know, and what it needs to know of apsched."""

from __future__ import annotations

import importlib.util
import os

SECRET_KEY = "not so secret"
ROOT_URLCONF = "django_shop.urls"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "Europe/Helsinki"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP_DATABASE", "shop.db")}}

INSTALLED_APPS = ["apsched.integrations.django", "django_shop.stock"]
if importlib.util.find_spec("django.tasks") is None:  # before Django 6
    INSTALLED_APPS.append("django_tasks")

APSCHED = {  # the options of BackgroundScheduler; jobs are kept in the database "default"
    "job_defaults": {"misfire_grace_time": 3600},
    "executors": {"default": {"type": "threadpool", "max_workers": 5}},
}
TASKS = {"default": {"BACKEND": "apsched.integrations.django.tasks.SchedulerBackend", "OPTIONS": {"timeout": 60}}}
