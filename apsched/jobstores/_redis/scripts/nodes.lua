-- Read the nodes. Returns of each, in a row: id, beat, lease, started_at, seen_at, is_dead.
local found = {}
for _, node in ipairs(call('SMEMBERS', NODES)) do
  local values = call('HMGET', NODE .. node, 'beat', 'lease', 'started_at', 'seen_at', 'is_dead')
  for index = 1, 5 do values[index] = values[index] or '0' end
  add_row(found, node, unpack(values))
end
return pack(unpack(found))
