-- Tell when there is something to do for a node.
-- ARGV: how many jobs it has tried in vain, of each its id and its mark; the executors that count.
-- Returns: 'now', or the earliest next run time or due time of a pending run; nothing if there is none.
local is_unfit, count, first = read_unfit(1)

local function first_fit(key)
  local found = call('ZRANGE', key, 0, count, 'WITHSCORES')
  for at = 1, #found, 2 do
    if not is_unfit(found[at]) then return found[at], found[at + 1] end
  end
end

local earliest

local function note(moment)
  if not earliest or tonumber(moment) < tonumber(earliest) then earliest = moment end
end

for at = first, #ARGV do
  local _, due = first_fit(READY .. ARGV[at])
  if due then note(string.format('%.0f', due)) end
  local id = first_fit(DUE .. ARGV[at])
  local state = id and get_state(id)
  if id and (not state or state.next_run == '') then return 'now' end  -- damaged: the next claim sorts it out
  if state then note(state.next_run) end
end
return earliest
