-- Note the format of what is stored, and tell about the server.
-- ARGV: format. Returns: the format found, what INFO says, whether APScheduler 3 keeps jobs under the same name.
local format = call('GET', TAG .. ':format')
if not format then
  call('SET', TAG .. ':format', ARGV[1])
  format = ARGV[1]
end
local old = string.sub(TAG, 2, -2)
return { format, call('INFO'), call('EXISTS', old) }
