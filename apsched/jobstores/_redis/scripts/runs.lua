-- Read a page of runs, the latest first.
-- ARGV: the job ('': all), the code of their outcome ('': all), latest and earliest nominal time, the run before the
-- page as nominal:job ('': none), how many.
-- Returns of each, in a row: nominal:job, run, notes, why it is to be cancelled.
local id, code, latest, earliest, after, count = unpack(ARGV)
local key = id ~= '' and HISTORY_OF .. id or code ~= '' and OUTCOME .. code or HISTORY
local member = after
if id ~= '' then member = match(after, '^(%-?%d+):') or '' end
local rank = member ~= '' and call('ZREVRANK', key, member)
local found
if rank then
  found = call('ZREVRANGE', key, rank + 1, rank + count)
else
  found = call('ZREVRANGEBYSCORE', key, latest, earliest, 'LIMIT', 0, count)
end
if id ~= '' then
  for index, nominal in ipairs(found) do found[index] = nominal .. ':' .. id end
end
local stored = read_all('HMGET', RUNS, found)
return pack(found, stored, read_notes(found), read_cancel_reasons(found, stored))
