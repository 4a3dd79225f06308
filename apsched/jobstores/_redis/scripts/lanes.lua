-- Read the lanes in which jobs are or were, but for those of an executor alone. Returns: their names.
return call('SMEMBERS', LANES)
