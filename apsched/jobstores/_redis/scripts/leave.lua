-- Forget a node; while it has runs it counts as dead. ARGV: node.
if call('EXISTS', CLAIMS .. ARGV[1]) == 1 then
  call('HSET', NODE .. ARGV[1], 'is_dead', 1)
else
  call('DEL', NODE .. ARGV[1])
  call('SREM', NODES, ARGV[1])
end
return 1
