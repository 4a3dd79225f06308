-- Raise the beat of a node. ARGV: node. Returns: 1, or 0 if it is not known or dead.
if not is_alive(ARGV[1]) then return 0 end
call('HINCRBY', NODE .. ARGV[1], 'beat', 1)
call('HSET', NODE .. ARGV[1], 'seen_at', server_time())
return 1
