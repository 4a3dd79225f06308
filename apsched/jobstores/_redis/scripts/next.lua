-- Tell when there is something to do. ARGV: the executors that count.
-- Returns: 'now', or the earliest next run time; nothing if there is none.
local earliest
for _, executor in ipairs(ARGV) do
  if call('EXISTS', READY .. executor) == 1 then return 'now' end
  local id = call('ZRANGE', DUE .. executor, 0, 0)[1]
  local state = id and get_state(id)
  if id and (not state or state.next_run == '') then return 'now' end  -- damaged: the next claim sorts it out
  if state and (not earliest or tonumber(state.next_run) < tonumber(earliest)) then earliest = state.next_run end
end
return earliest
