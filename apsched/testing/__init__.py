"""Help with testing: what users of a scheduler and authors of job stores need (layer 10)."""
