"""Join the scheduler to frameworks of others (layer 10)."""
