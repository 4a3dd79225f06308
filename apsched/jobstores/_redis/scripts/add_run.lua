-- Queue a run. ARGV: job, nominal time, run, how many runs are kept by default.
-- Returns: the nominal time that it got; nothing if there is no such job.

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

local id, default = ARGV[1], tonumber(ARGV[4])
local text = call('HGET', STATES, id)
local state = read_state(text)
if not state or state.status == 'R' then return false end
local nominal = ARGV[2]
while call('HEXISTS', RUNS, nominal .. ':' .. id) == 1 do
  nominal = next_microsecond(nominal)
end
local name = nominal .. ':' .. id
put_run(name, nominal, nil, 'P', ARGV[3])
write_runs()
call('ZADD', HISTORY, nominal, name)
call('ZADD', HISTORY_OF .. id, nominal, nominal)
call('ZADD', PENDING .. id, nominal, nominal)
if call('ZCARD', HISTORY_OF .. id) > (state.kept == '' and default or tonumber(state.kept)) then
  call('ZADD', PRUNABLE, 'NX', '-inf', id)
end
revise(id, text)
line_up(id, state)
return nominal
