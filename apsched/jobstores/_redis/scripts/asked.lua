-- Read what a node is asked to cancel. ARGV: node.
-- Returns of each run, in a row: nominal:job, run, notes, why.
local names = {}
local asked = call('HGETALL', ASKED)
for at = 1, #asked, 2 do
  local _, node = read_asked(asked[at + 1])
  if node == ARGV[1] then names[#names + 1] = asked[at] end
end
local found = read_all('HMGET', RUNS, names)
return pack(names, found, read_notes(names), read_cancel_reasons(names, found))
