-- Take nodes for dead, and read some of the runs that dead nodes have; forget those that have none.
-- ARGV: how many runs; then for each node: its id, the beat at which it stood still.
-- Returns of each run, in a row: job, state, definition, nominal time, run, notes, why it was to be cancelled.
for at = 2, #ARGV, 2 do
  if call('HGET', NODE .. ARGV[at], 'beat') == ARGV[at + 1] then call('HSET', NODE .. ARGV[at], 'is_dead', 1) end
end
local dead = {}
for _, node in ipairs(call('SMEMBERS', NODES)) do
  if not is_alive(node) then dead[node] = true end
end
if not next(dead) then return pack() end

local limit = tonumber(ARGV[1])
local found, is_busy = {}, {}
for _, claim in ipairs(read_claims()) do
  if dead[claim.node] then
    if found[1] and #found[1] >= limit then return pack(unpack(found)) end
    local id, name = claim.id, claim.name
    local row = call('HGET', RUNS, name)
    local run = read_run(row)
    if run and run.code == 'R' and run.node == claim.node then
      is_busy[claim.node] = true
      local state, definition = call('HGET', STATES, id), call('HGET', DEFINITIONS, id)
      local notes, reason = read_notes({ name })[1] or '', read_cancel_reasons({ name }, { row })[1] or ''
      add_row(found, id, state, definition, claim.nominal, row, notes, reason)
    else
      call('HDEL', ASKED, name)
      write_running({ [id] = without(call('HGET', RUNNING, id), claim.text) })
      local state = get_state(id)
      if state then line_up(id, state) end
    end
  end
end
for node in pairs(dead) do
  if not is_busy[node] then
    call('DEL', NODE .. node)
    call('SREM', NODES, node)
  end
end
return pack(unpack(found))
