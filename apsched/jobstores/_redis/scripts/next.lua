-- Tell when there is something to do for a node.
-- ARGV: how many jobs it has tried in vain, of each its id and its mark; the executors that count.
-- Returns: 'now', or the earliest next run time; nothing if there is none.
local is_unfit, count, first = read_unfit(1)

local function first_fit(key)
  for _, id in ipairs(call('ZRANGE', key, 0, count)) do
    if not is_unfit(id) then return id end
  end
end

local earliest
for at = first, #ARGV do
  if first_fit(READY .. ARGV[at]) then return 'now' end
  local id = first_fit(DUE .. ARGV[at])
  local state = id and get_state(id)
  if id and (not state or state.next_run == '') then return 'now' end  -- damaged: the next claim sorts it out
  if state and (not earliest or tonumber(state.next_run) < tonumber(earliest)) then earliest = state.next_run end
end
return earliest
