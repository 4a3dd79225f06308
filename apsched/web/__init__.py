"""Show and operate a scheduler in a browser (layer 10)."""
