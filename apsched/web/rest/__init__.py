"""Answer programs: the REST interface below /api (layer 10)."""
