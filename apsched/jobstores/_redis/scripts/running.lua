-- Read the runs under way. Returns of each, in a row: nominal:job, run, notes, why it is to be cancelled.
local names = {}
for index, claim in ipairs(read_claims()) do names[index] = claim.name end
local found = read_all('HMGET', RUNS, names)
return pack(names, found, read_notes(names), read_cancel_reasons(names, found))
