-- Forget a node; while it has runs it counts as dead. ARGV: node.
if #read_claims(ARGV[1]) > 0 then
  call('HSET', NODE .. ARGV[1], 'is_dead', 1)
else
  call('DEL', NODE .. ARGV[1])
  call('SREM', NODES, ARGV[1])
end
return 1
