"""Commands of `manage.py` (layer 10)."""
