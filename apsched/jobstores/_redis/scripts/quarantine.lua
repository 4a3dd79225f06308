-- Note that jobs cannot run. ARGV, for each: id, why, its mark if other nodes may run it ('': no).
for at = 1, #ARGV, 3 do
  local id = ARGV[at]
  local text = call('HGET', STATES, id)
  local state = read_state(text)
  if state and state.status == 'L' and ARGV[at + 2] ~= '' then
    call('HSET', MARKS, id, ARGV[at + 2])
    revise(id, text)
  elseif state then
    call('HSET', QUARANTINE, id, ARGV[at + 1])
    call('ZREM', DUE .. state.executor, id)
    call('ZREM', READY .. state.executor, id)
    revise(id, text)
  end
end
return 1
