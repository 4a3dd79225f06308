-- Let other nodes plan for jobs again. ARGV: ids.
in_parts('ZREM', HELD, ARGV)
return 1
