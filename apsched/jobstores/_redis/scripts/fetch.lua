-- Read jobs. ARGV: ids. Returns of each, in a row: state, definition, why it is quarantined; empty what is not there.
return pack(read_all('HMGET', STATES, ARGV), read_all('HMGET', DEFINITIONS, ARGV), read_reasons(ARGV))
