-- Read what a node has claimed. ARGV: node.
-- Returns of each run whose job is known, in a row: job, state, definition, nominal time, run, notes.
local found = {}
for _, claim in ipairs(read_claims(ARGV[1])) do
  local id, text, row = claim.id, call('HGET', STATES, claim.id), call('HGET', RUNS, claim.name)
  if text and row then
    local notes = read_notes({ claim.name })[1] or ''
    add_row(found, id, text, call('HGET', DEFINITIONS, id), claim.nominal, row, notes)
  end
end
return pack(unpack(found))
