-- Note that jobs cannot run. ARGV, for each: id, why.
for at = 1, #ARGV, 2 do
  local id = ARGV[at]
  local text = call('HGET', STATES, id)
  local state = read_state(text)
  if state then
    call('HSET', QUARANTINE, id, ARGV[at + 1])
    call('ZREM', DUE .. state.executor, id)
    call('ZREM', READY .. state.executor, id)
    revise(id, text)
  end
end
return 1
