-- Make a node known, and let quarantined jobs be tried again. ARGV: node, lease in seconds, now.
call('HSET', NODE .. ARGV[1], 'beat', 0, 'lease', ARGV[2], 'started_at', ARGV[3], 'seen_at', ARGV[3], 'is_dead', 0)
call('SADD', NODES, ARGV[1])
local ids = call('HKEYS', QUARANTINE)
call('DEL', QUARANTINE, MARKS)
for _, id in ipairs(ids) do
  local state = get_state(id)
  if state then
    if state.status == 'L' and state.next_run ~= '' and call('HEXISTS', FOLLOWS, id) == 0 then
      call('ZADD', DUE .. state.executor, state.next_run, id)
    end
    line_up(id, state)
  end
end
return 1
