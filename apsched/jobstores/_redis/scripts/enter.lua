-- Note the format of what is stored, and tell about the server.
-- ARGV: format. Returns: the format found, what INFO says, whether APScheduler 3 keeps jobs under the same name. What
-- the user may not ask is empty.
local function ask(...)
  local answer = redis.pcall(...)
  return type(answer) == 'table' and answer.err and '' or answer
end

local format = call('GET', TAG .. ':format')
if not format then
  call('SET', TAG .. ':format', ARGV[1])
  format = ARGV[1]
end
if format == ARGV[1] then
  -- Redis keeps a hash of few short values as a list, and seeks in it from the beginning, unless one value is long.
  for _, key in ipairs({ STATES, RUNNING }) do call('HSET', key, '', string.rep(' ', 1000)) end
end
return { format, ask('INFO'), ask('EXISTS', string.sub(TAG, 2, -2)) }
