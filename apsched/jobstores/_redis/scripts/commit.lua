-- Store what was planned for held jobs, each unless its state is another one by now.
-- ARGV: node, how many runs are kept by default; then for each: id, state, executor, its new state without revision ('':
-- quarantined; the next is why), next run time (none if the job is finished), how many runs, and of each: nominal time,
-- code, run.
-- Returns: nothing if the node is dead; else for each: '' if it is left out, or '+' and for each run 1, or 0 if that
-- nominal time is recorded already.
local node, default = ARGV[1], tonumber(ARGV[2])
if not is_alive(node) then return false end

local plans, ids = {}, {}
local at = 3
while at <= #ARGV do
  local count = tonumber(ARGV[at + 5])
  plans[#plans + 1] = { first = at, count = count }
  ids[#ids + 1] = ARGV[at]
  at = at + 6 + 3 * count
end
local states = read_all('HMGET', STATES, ids)

local history, claims, changed, order, moved, answers, excess = {}, {}, {}, {}, {}, {}, {}
local revision = call('INCRBY', REVISION, #ids) - #ids
local is_new = {}
local is_pending = any_pending()

-- The answer to this commit may have been lost, and the client may have sent it again.
local function is_repeated(plan)
  for number = 1, plan.count do
    local run = plan.first + 6 + 3 * (number - 1)
    if call('HGET', RUNS, ARGV[run] .. ':' .. ARGV[plan.first]) ~= ARGV[run + 2] then return false end
  end
  return plan.count > 0
end

local function add_runs(plan, id, kept)
  local bits = {}
  local of_job = {}
  for number = 1, plan.count do
    local run = plan.first + 6 + 3 * (number - 1)
    local nominal, code, row = ARGV[run], ARGV[run + 1], ARGV[run + 2]
    local name = nominal .. ':' .. id
    if is_new[name] or call('HEXISTS', RUNS, name) == 1 then
      bits[number] = '0'
    else
      bits[number] = '1'
      is_new[name] = true
      put_run(name, nominal, nil, code, row)
      history[#history + 1] = nominal
      history[#history + 1] = name
      of_job[#of_job + 1] = nominal
      of_job[#of_job + 1] = nominal
      if code == 'R' then
        call('ZADD', RUNNING .. id, nominal, nominal)
        claims[#claims + 1] = name
      elseif code == 'P' then
        call('ZADD', PENDING .. id, nominal, nominal)
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
  return '+' .. table.concat(bits)
end

for index, plan in ipairs(plans) do
  local id, expected, executor, rest, next_run = unpack(ARGV, plan.first, plan.first + 4)
  if states[index] ~= expected then
    answers[index] = is_repeated(plan) and '+' .. string.rep('1', plan.count) or ''
  elseif rest == '' then
    local state = read_state(expected)
    if state then revise(id, state.rest) end
    call('HSET', QUARANTINE, id, next_run)
    call('ZREM', DUE .. executor, id)
    call('ZREM', READY .. executor, id)
    answers[index] = '+'
  else
    local state = read_state('0|' .. rest)
    answers[index] = add_runs(plan, id, state.kept == '' and default or tonumber(state.kept))
    changed[#changed + 1] = id
    changed[#changed + 1] = string.format('%d|%s', revision + index, rest)
    if state.status == 'L' then
      order[#order + 1] = next_run == '' and '+inf' or next_run
      order[#order + 1] = id
      if next_run == '' then
        call('ZREM', DUE .. executor, id)
      else
        local list = moved[executor] or {}
        moved[executor] = list
        list[#list + 1] = next_run
        list[#list + 1] = id
      end
    end
    if (is_pending or entered.P) and call('EXISTS', PENDING .. id) == 1 then line_up(id, state) end
  end
end

write_runs()
in_parts('HSET', STATES, changed)
in_parts('ZADD', ORDER, order)
for executor, list in pairs(moved) do in_parts('ZADD', DUE .. executor, list) end
in_parts('ZADD', HISTORY, history)
in_parts('SADD', CLAIMS .. node, claims)
in_parts('ZREM', HELD, ids)
for part = 1, #excess, MANY do
  call('ZADD', PRUNABLE, 'NX', unpack(excess, part, math.min(part + MANY - 1, #excess)))
end
for index, plan in ipairs(plans) do
  local id, expected, executor, rest = unpack(ARGV, plan.first, plan.first + 3)
  if states[index] == expected and string.sub(rest, 1, 1) == 'R' then
    call('ZREM', ORDER, id)
    call('ZREM', DUE .. executor, id)
    call('SADD', RETIRED, id)
    bury(id)
  end
end
return answers
