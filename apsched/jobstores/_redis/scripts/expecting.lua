-- Read which jobs are to succeed now and then. ARGV: a job ('': none).
-- Returns: the score of that job in the list; of each of the others, in their order, in a row: id, score.
local score = ARGV[1] ~= '' and call('ZSCORE', ORDER, ARGV[1]) or ''
local found = call('ZINTER', 2, ORDER, EXPECTING, 'WEIGHTS', 1, 0, 'WITHSCORES')
local others = {}
for at = 1, #found, 2 do add_row(others, found[at], found[at + 1]) end
return { score, pack(unpack(others)) }
