"""Pictures as SVG: pure functions of values, without styles of their own (layer 10)."""
