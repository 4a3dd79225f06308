-- Note that jobs cannot run. ARGV, for each: id, why.
for at = 1, #ARGV, 2 do
  local id = ARGV[at]
  local state = get_state(id)
  if state then
    call('HSET', QUARANTINE, id, ARGV[at + 1])
    call('ZREM', DUE .. state.executor, id)
    call('ZREM', READY .. state.executor, id)
    revise(id, state.rest)
  end
end
return 1
