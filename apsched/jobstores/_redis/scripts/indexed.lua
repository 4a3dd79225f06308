-- Read which jobs an index names. ARGV: `expecting` (success now and then) or `quarantined`, a job ('': none).
-- Returns: the score of that job in the list; of each of those named, in a row: id, score ('': not in the list).
local score = ARGV[2] ~= '' and call('ZSCORE', ORDER, ARGV[2]) or ''
local ids
if ARGV[1] == 'expecting' then
  ids = call('SMEMBERS', EXPECTING)
else
  ids = call('HKEYS', QUARANTINE)
  for _, id in ipairs(call('HKEYS', MARKS)) do ids[#ids + 1] = id end
end
return { score, pack(ids, read_all('ZMSCORE', ORDER, ids)) }
