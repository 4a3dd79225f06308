-- Store what was planned for held jobs, each unless its state is another one by now.
-- ARGV: node, how many runs are kept by default; then for each: id, state, executor, its new state without revision ('':
-- quarantined, 'M': marked, since other nodes may run it; the next is why), next run time (none if the job is
-- finished), how many runs, and of each: nominal time, code, run.
-- Returns: nothing if the node is dead; else for each, with commas between: '' if it is left out, or '+' and for each
-- run 1, or 0 if that nominal time is recorded already.
local node, default = ARGV[1], tonumber(ARGV[2])
if not is_alive(node) then return false end

local plans, ids, names = {}, {}, {}
local at = 3
while at <= #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 5])
  plans[#plans + 1] = { id = id, first = at, count = count, names = #names }
  ids[#ids + 1] = id
  at = at + 6
  for _ = 1, count do
    names[#names + 1] = ARGV[at] .. ':' .. id
    at = at + 3
  end
end
local states, stored, running = read_all('HMGET', STATES, ids), read_all('HMGET', RUNS, names), {}
for index, text in ipairs(read_all('HMGET', RUNNING, ids)) do running[ids[index]] = text end

local history, claims, changed, order, moved, answers, excess, queues = {}, {}, {}, {}, {}, {}, {}, {}
local finished, idle = {}, {}
local revision = call('INCRBY', REVISION, #ids) - #ids
local is_pending, is_new = any_pending(), {}

-- The answer to this commit may have been lost, and the client may have sent it again.
local function is_repeated(plan)
  for number = 1, plan.count do
    if stored[plan.names + number] ~= ARGV[plan.first + 5 + 3 * number] then return false end
  end
  return plan.count > 0
end

local function add_runs(plan, kept)
  local id, bits, of_job = plan.id, '+', {}
  for number = 1, plan.count do
    local run = plan.first + 3 + 3 * number
    local nominal, code, name = ARGV[run], ARGV[run + 1], names[plan.names + number]
    if stored[plan.names + number] or is_new[name] then
      bits = bits .. '0'
    else
      bits = bits .. '1'
      is_new[name] = true
      put_run(name, nominal, nil, code, ARGV[run + 2])
      history[#history + 1] = nominal
      history[#history + 1] = name
      of_job[#of_job + 1] = nominal
      of_job[#of_job + 1] = nominal
      if code == 'R' then
        running[id] = with(running[id], nominal)
        claims[#claims + 1] = name
      elseif code == 'P' then
        call('ZADD', PENDING .. id, due_of(ARGV[run + 2]), nominal)
      end
    end
  end
  if #of_job > 0 then
    in_parts('ZADD', HISTORY_OF .. id, of_job)
    if call('ZCARD', HISTORY_OF .. id) > kept then
      excess[#excess + 1] = '-inf'
      excess[#excess + 1] = id
    end
  end
  return bits
end

for index, plan in ipairs(plans) do
  local id, expected, executor, rest, next_run = unpack(ARGV, plan.first, plan.first + 4)
  if states[index] ~= expected then
    answers[index] = is_repeated(plan) and '+' .. string.rep('1', plan.count) or ''
  elseif rest == 'M' then
    if read_state(expected) then revise(id, expected) end
    call('HSET', MARKS, id, next_run)
    answers[index] = '+'
  elseif rest == '' then
    if read_state(expected) then revise(id, expected) end
    call('HSET', QUARANTINE, id, next_run)
    call('ZREM', DUE .. executor, id)
    call('ZREM', READY .. executor, id)
    answers[index] = '+'
  else
    local status, kept = match(rest, '^([LR])|%-?%d*|%-?%d*|%d+|(%d*)|')
    answers[index] = add_runs(plan, kept == '' and default or tonumber(kept))
    changed[#changed + 1] = id
    changed[#changed + 1] = string.format('%d|%s', revision + index, rest)
    if status == 'R' then
      finished[#finished + 1] = id
    else
      order[#order + 1] = next_run == '' and '+inf' or next_run
      order[#order + 1] = id
    end
    if next_run == '' then
      local list = idle[executor] or {}
      idle[executor] = list
      list[#list + 1] = id
    elseif status ~= 'R' then
      local list = moved[executor] or {}
      moved[executor] = list
      list[#list + 1] = next_run
      list[#list + 1] = id
    end
    if is_pending or entered.P then queues[#queues + 1] = index end
  end
end

write_runs()
write_running(running)
in_parts('HSET', STATES, changed)
in_parts('ZADD', ORDER, order)
for executor, list in pairs(moved) do in_parts('ZADD', DUE .. executor, list) end
in_parts('ZADD', HISTORY, history)
in_parts('SADD', CLAIMS .. node, claims)
in_parts('ZREM', HELD, ids)
for part = 1, #excess, MANY do
  call('ZADD', PRUNABLE, 'NX', unpack(excess, part, math.min(part + MANY - 1, #excess)))
end
for _, index in ipairs(queues) do
  local id = ids[index]
  if call('EXISTS', PENDING .. id) == 1 then line_up(id, get_state(id)) end
end
in_parts('ZREM', ORDER, finished)
in_parts('HDEL', MARKS, finished)
in_parts('SREM', EXPECTING, finished)
in_parts('SADD', RETIRED, finished)
for executor, list in pairs(idle) do in_parts('ZREM', DUE .. executor, list) end
bury_all(finished, running, is_pending or entered.P)
return table.concat(answers, ',')
