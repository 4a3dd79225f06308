-- Remove some jobs, and at last the pending runs of those that are finished.
-- ARGV: how many. Returns: how many; 0: all are removed.
local ids = call('ZRANGE', ORDER, 0, ARGV[1] - 1)
local states = read_all('HMGET', STATES, ids)
for index, id in ipairs(ids) do forget(id, read_state(states[index])) end
if #ids == 0 then
  for _, name in ipairs(call('ZRANGE', OUTCOME .. 'P', 0, -1)) do
    local id = match(name, ':(.*)$')
    local state = get_state(id)
    cancel_pending(id)
    if state then call('ZREM', READY .. state.executor, id) end
    bury_all({ id }, { [id] = call('HGET', RUNNING, id) }, false)
  end
end
write_runs()
return #ids
