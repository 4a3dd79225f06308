-- Take nodes for dead, and read some of the runs that dead nodes have; forget those that have none.
-- ARGV: how many runs; then for each node: its id, the beat at which it stood still.
-- Returns of each run, in a row: job, state, definition, nominal time, run, notes, why it was to be cancelled.
for at = 2, #ARGV, 2 do
  if call('HGET', NODE .. ARGV[at], 'beat') == ARGV[at + 1] then call('HSET', NODE .. ARGV[at], 'is_dead', 1) end
end
local limit = 7 * ARGV[1]
local found = {}
for _, node in ipairs(call('SMEMBERS', NODES)) do
  if not is_alive(node) then
    local names = call('SMEMBERS', CLAIMS .. node)
    for _, name in ipairs(names) do
      if #found >= limit then return pack(found) end
      local nominal, id = match(name, '^(%-?%d+):(.*)$')
      local row = call('HGET', RUNS, name)
      local run = read_run(row)
      if run and run.code == 'R' and run.node == node then
        local text = call('HGET', STATES, id) or ''
        local notes, reason = read_notes({ name })[1] or '', read_cancel_reasons({ name }, { row })[1] or ''
        for _, value in ipairs({ id, text, call('HGET', DEFINITIONS, id) or '', nominal, row, notes, reason }) do
          found[#found + 1] = value
        end
      else
        call('SREM', CLAIMS .. node, name)
        call('HDEL', ASKED, name)
        if not run then write_running({ [id] = without(call('HGET', RUNNING, id), nominal) }) end
        local state = get_state(id)
        if state then line_up(id, state) end
      end
    end
    if call('EXISTS', CLAIMS .. node) == 0 then
      call('DEL', NODE .. node)
      call('SREM', NODES, node)
    end
  end
end
return pack(found)
