-- Read a page of the list of jobs.
-- ARGV: how many, the job before the page ('': none), its score as it was read ('': where it is now).
-- Returns of each, in a row: id, score, state, definition, why it is quarantined; empty what is not there.
local count, id, score = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local first = 0
if id ~= '' then
  local present = call('ZSCORE', ORDER, id)
  if present and (score == '' or score == present) then
    first = call('ZRANK', ORDER, id) + 1
  elseif score ~= '' then  -- it has moved since: from the beginning of the jobs that are due when it was
    first = call('ZCOUNT', ORDER, '-inf', '(' .. score)
  end
end
local found = call('ZRANGE', ORDER, first, first + count - 1, 'WITHSCORES')
local ids, scores = {}, {}
for at = 1, #found, 2 do
  ids[#ids + 1] = found[at]
  scores[#scores + 1] = found[at + 1]
end
local states, definitions = read_all('HMGET', STATES, ids), read_all('HMGET', DEFINITIONS, ids)
return pack(ids, scores, states, definitions, read_reasons(ids))
