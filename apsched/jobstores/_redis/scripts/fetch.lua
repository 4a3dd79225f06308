-- Read jobs. ARGV: ids. Returns: states, definitions, quarantines.
return { read_all('HMGET', STATES, ARGV), read_all('HMGET', DEFINITIONS, ARGV), read_all('HMGET', QUARANTINE, ARGV) }
