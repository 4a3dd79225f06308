-- Add and change jobs, all or none.
-- ARGV, for each: id, the state it must have ('': it must not be in the list), its new state without revision,
-- next run time ('': paused), definition, why it is quarantined ('': it is not), executor, the job that it follows ('':
-- none), whether it is to succeed now and then (1).
-- Returns: the places in ARGV, from 0, of jobs whose state is another one; nothing is written if there are any.
local ids = {}
for at = 1, #ARGV, 9 do ids[#ids + 1] = ARGV[at] end
local states = read_all('HMGET', STATES, ids)
local refused = {}
for index, text in ipairs(states) do
  local expected = ARGV[index * 9 - 7]
  local state = read_state(text)
  if expected == '' and text and not (state and state.status == 'R') or expected ~= '' and text ~= expected then
    refused[#refused + 1] = index - 1
  end
end
if #refused > 0 then return refused end

local revision = string.format('%d', call('INCR', REVISION))
local definitions, changed, order, due = {}, {}, {}, {}
local any_follows = call('EXISTS', FOLLOWS) == 1
for index, id in ipairs(ids) do
  local at = index * 9 - 8
  local rest, next_run, definition, quarantine, executor, followed, is_expecting = unpack(ARGV, at + 2, at + 8)
  local place = 2 * index - 1
  definitions[place], definitions[place + 1] = id, definition
  changed[place], changed[place + 1] = id, revision .. '|' .. rest
  order[place], order[place + 1] = next_run == '' and '+inf' or next_run, id
  local text = states[index]
  local old = read_state(text)
  if text then
    call('HDEL', QUARANTINE, id)
    call('HDEL', MARKS, id)
    call('SREM', EXPECTING, id)
    call('ZADD', PRUNABLE, '-inf', id)
  end
  if old then
    call('ZREM', DUE .. old.executor, id)
    call('ZREM', READY .. old.executor, id)
  end
  if any_follows then unfollow(id) end
  if followed ~= '' then
    call('HSET', FOLLOWS, id, followed)
    call('HSET', FOLLOWERS .. followed, id, revision)
    call('SADD', FOLLOWED, followed)
  end
  if string.find(executor, '|', 1, true) then call('SADD', LANES, executor) end
  if is_expecting == '1' then call('SADD', EXPECTING, id) end
  if quarantine ~= '' then
    call('HSET', QUARANTINE, id, quarantine)
  elseif next_run ~= '' and followed == '' then
    local list = due[executor] or {}
    due[executor] = list
    list[#list + 1] = next_run
    list[#list + 1] = id
  end
  if text then line_up(id, read_state('0|' .. rest)) end
end
in_parts('HSET', DEFINITIONS, definitions)
in_parts('HSET', STATES, changed)
in_parts('ZADD', ORDER, order)
for executor, list in pairs(due) do in_parts('ZADD', DUE .. executor, list) end
return refused
