-- Read what a node has claimed. ARGV: node.
-- Returns of each run whose job is known, in a row: job, state, definition, nominal time, run.
local found = {}
for _, name in ipairs(call('SMEMBERS', CLAIMS .. ARGV[1])) do
  local nominal, id = match(name, '^(%-?%d+):(.*)$')
  local text, row = call('HGET', STATES, id), call('HGET', RUNS, name)
  if text and row then
    for _, value in ipairs({ id, text, call('HGET', DEFINITIONS, id) or '', nominal, row }) do
      found[#found + 1] = value
    end
  end
end
return pack(found)
