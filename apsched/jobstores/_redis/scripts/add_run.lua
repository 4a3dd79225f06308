-- Queue a run.
-- ARGV: job, nominal time, run, how many runs are kept by default, whether it moves on where its nominal time is taken
-- (1 or 0).
-- Returns: nothing if there is no such job; else in a row: the nominal time that it got, the run that has taken it, and
-- the notes of that; these are empty if it was queued.

-- Digit by digit, as it were: numbers are exact to the year 2255 only.
local function next_microsecond(nominal)
  local sign, digits = match(nominal, '^(%-?)(%d+)$')
  local high, low = tonumber(string.sub(digits, 1, -8)) or 0, tonumber(string.sub(digits, -7))
  low = low + (sign == '-' and -1 or 1)
  if low < 0 then
    high, low = high - 1, 9999999
  elseif low > 9999999 then
    high, low = high + 1, 0
  end
  if high == 0 then return low == 0 and '0' or sign .. low end
  return string.format('%s%.0f%07d', sign, high, low)
end

local id, nominal, row, default, may_move = unpack(ARGV)
local text = call('HGET', STATES, id)
local state = read_state(text)
if not state or state.status == 'R' then return false end
local taken = call('HGET', RUNS, nominal .. ':' .. id)
if taken and may_move ~= '1' then
  return pack({ nominal }, { taken }, read_notes({ nominal .. ':' .. id }))
end
while taken do
  nominal = next_microsecond(nominal)
  taken = call('HGET', RUNS, nominal .. ':' .. id)
end
enqueue(id, text, nominal, row, default)
write_runs()
line_up(id, state)
return pack({ nominal }, {}, {})
