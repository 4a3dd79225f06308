-- Store what was planned for held jobs, each unless its state is another one by now, and hold them no more.
-- ARGV: node; of each job, in lists: id, state, what becomes of that (the new one without revision, or Q| and why it is
-- quarantined, or M| and its mark, since other nodes may run it), next run time ('': none), lane, how many runs are
-- kept, how many there are; and of each of all these, in lists: nominal time, claim, run.
-- Returns: nothing if the node is dead; else for each job, with commas between: '' if it is left out, or '+' and for
-- each run 1, or 0 if that nominal time is recorded already.
local node, ids, states, rests, next_runs, lanes, limits, counts, nominals, claims, rows = unpack(ARGV)
if not is_alive(node) then return false end

local current, running = read_all('HMGET', STATES, ids), {}
for index, text in ipairs(read_all('HMGET', RUNNING, ids)) do running[ids[index]] = text end

local history, changed, order, moved, idle, finished, answers, excess, queues = {}, {}, {}, {}, {}, {}, {}, {}, {}
local revision = string.format('%d|', call('INCR', REVISION))
local is_pending = any_pending()

-- The answer to this commit may have been lost, and the client may have sent it again.
local function is_repeated(id, first, last)
  for run = first, last do
    if call('HGET', RUNS, nominals[run] .. ':' .. id) ~= rows[run] then return false end
  end
  return last >= first
end

local function add_runs(id, first, last, limit)
  local bits, key = '+', HISTORY_OF .. id
  for run = first, last do
    local nominal, claim, row = nominals[run], claims[run], rows[run]
    if call('ZADD', key, nominal, nominal) == 0 then
      bits = bits .. '0'
    else
      bits = bits .. '1'
      local name = nominal .. ':' .. id
      local code = string.sub(row, 1, 1)
      put_run(name, nominal, nil, code, row)
      history[#history + 1] = nominal
      history[#history + 1] = name
      if code == 'R' then
        running[id] = with(running[id], claim)
      elseif code == 'P' then
        call('ZADD', PENDING .. id, due_of(row), nominal)
      end
    end
  end
  if last >= first and call('ZCARD', key) > limit then
    excess[#excess + 1] = '-inf'
    excess[#excess + 1] = id
  end
  return bits
end

local function listed(lists, key)
  local list = lists[key] or {}
  lists[key] = list
  return list
end

local last = 0
for index, id in ipairs(ids) do
  local rest, next_run, lane, first = rests[index], next_runs[index], lanes[index], last + 1
  local kind = string.sub(rest, 1, 1)
  last = last + counts[index]
  if current[index] ~= states[index] then
    answers[index] = is_repeated(id, first, last) and '+' .. string.rep('1', last - first + 1) or ''
  elseif kind == 'Q' or kind == 'M' then
    local why = string.sub(rest, 3)
    set_aside(id, states[index], why, kind == 'M' and why or '')
    answers[index] = '+'
  else
    answers[index] = add_runs(id, first, last, tonumber(limits[index]))
    changed[#changed + 1] = id
    changed[#changed + 1] = revision .. rest
    if kind == 'R' then
      finished[#finished + 1] = id
    else
      order[#order + 1] = next_run == '' and '+inf' or next_run
      order[#order + 1] = id
    end
    if next_run == '' then
      local list = listed(idle, lane)
      list[#list + 1] = id
    elseif kind ~= 'R' then
      local list = listed(moved, lane)
      list[#list + 1] = next_run
      list[#list + 1] = id
    end
    if is_pending or entered.P then queues[#queues + 1] = id end
  end
end

write_runs()
write_running(running)
in_parts('HSET', STATES, changed)
in_parts('ZADD', ORDER, order)
for lane, list in pairs(moved) do in_parts('ZADD', DUE .. lane, list) end
in_parts('ZADD', HISTORY, history)
call('HDEL', HELD, node)
for part = 1, #excess, MANY do
  call('ZADD', PRUNABLE, 'NX', unpack(excess, part, math.min(part + MANY - 1, #excess)))
end
for _, id in ipairs(queues) do
  if call('EXISTS', PENDING .. id) == 1 then line_up(id, get_state(id)) end
end
in_parts('ZREM', ORDER, finished)
in_parts('HDEL', MARKS, finished)
in_parts('SREM', EXPECTING, finished)
for lane, list in pairs(idle) do in_parts('ZREM', DUE .. lane, list) end
bury_all(finished, running, is_pending or entered.P)
return table.concat(answers, ',')
