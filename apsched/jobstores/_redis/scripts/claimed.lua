-- Read what a node has claimed. ARGV: node.
-- Returns of each run whose job is known, in a row: job, state, definition, nominal time, run, notes.
local found = {}
local has_notes = call('EXISTS', NOTES) == 1
for _, name in ipairs(call('SMEMBERS', CLAIMS .. ARGV[1])) do
  local nominal, id = match(name, '^(%-?%d+):(.*)$')
  local text, row = call('HGET', STATES, id), call('HGET', RUNS, name)
  if text and row then
    local notes = has_notes and call('HGET', NOTES, name) or ''
    for _, value in ipairs({ id, text, call('HGET', DEFINITIONS, id) or '', nominal, row, notes }) do
      found[#found + 1] = value
    end
  end
end
return pack(found)
