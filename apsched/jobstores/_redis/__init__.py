"""How the Redis store talks to its server: scripts, rows and connections."""
