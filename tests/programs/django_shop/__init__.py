"""A Django project whose jobs and tasks apsched runs.

export DJANGO_SETTINGS_MODULE=django_shop.settings
python -m django migrate --run-syncdb
python -m django apsched run
python -m django apsched list
"""
