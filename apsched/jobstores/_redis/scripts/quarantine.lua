-- Note that jobs cannot run. ARGV, for each: id, why, its mark if other nodes may run it ('': no).
for at = 1, #ARGV, 3 do
  local id, why, mark = unpack(ARGV, at, at + 2)
  local text = call('HGET', STATES, id)
  if read_state(text) then set_aside(id, text, why, mark) end
end
return 1
