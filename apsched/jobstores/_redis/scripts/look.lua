-- Claim pending runs, and hold due jobs for a while so that no other node plans for them too.
-- ARGV: node, now, until when they are held; then for each executor: its alias, how many runs it may take.
-- Returns: nothing if the node is dead; else
--   of each claimed run, in a row: job, state, definition, nominal time, run;
--   of each held job: id, state, definition;
--   of each open run of these: the place of its job, nominal time, run.
local node, now, until_when = ARGV[1], ARGV[2], ARGV[3]
if not is_alive(node) then return false end

local claimed, claims = {}, {}

local function claim(id, state, text, definition)
  local nominal = call('ZRANGE', PENDING .. id, 0, 0)[1]
  local name = nominal .. ':' .. id
  local run = read_run(call('HGET', RUNS, name))
  call('ZREM', PENDING .. id, nominal)
  if not run then return 0 end
  local epoch = string.format('%d', run.epoch + 1)
  local row = write_head('R', epoch, now, run.started, run.finished, node, run.body)
  put_run(name, nominal, run.code, 'R', row)
  call('ZADD', RUNNING .. id, nominal, nominal)
  claims[#claims + 1] = name
  for _, value in ipairs({ id, text, definition, nominal, row }) do claimed[#claimed + 1] = value end
  return 1
end

local function claim_pending(executor, free)
  for _, id in ipairs(call('ZRANGE', READY .. executor, 0, free - 1)) do
    local text = call('HGET', STATES, id)
    local state = read_state(text)
    if not state then
      call('ZREM', READY .. executor, id)
    else
      local definition = call('HGET', DEFINITIONS, id) or ''
      text = revise(id, state.rest)
      local running = call('ZCARD', RUNNING .. id)
      while free > 0 and (state.limit == 0 or running < state.limit) and call('EXISTS', PENDING .. id) == 1 do
        local count = claim(id, state, text, definition)
        free = free - count
        running = running + count
      end
      line_up(id, state)
    end
  end
  return free
end

local ids, held = {}, {}

local function hold_due(executor, free)
  local others = call('ZCARD', HELD)
  local due = call('ZRANGEBYSCORE', DUE .. executor, '-inf', now, 'LIMIT', 0, free + others)
  local holds = others > 0 and read_all('ZMSCORE', HELD, due) or {}
  for index, id in ipairs(due) do
    if free == 0 then break end
    if call('HEXISTS', STATES, id) == 0 then
      call('ZREM', DUE .. executor, id)  -- somebody has deleted it by hand
    elseif not holds[index] then
      ids[#ids + 1] = id
      held[#held + 1] = until_when
      held[#held + 1] = id
      free = free - 1
    end
  end
end

call('ZREMRANGEBYSCORE', HELD, '-inf', now)
for at = 4, #ARGV, 2 do
  local free = claim_pending(ARGV[at], tonumber(ARGV[at + 1]))
  if free > 0 then hold_due(ARGV[at], free) end
end
write_runs()
in_parts('SADD', CLAIMS .. node, claims)
in_parts('ZADD', HELD, held)

local open = {}
local is_pending = any_pending()
local function add_open(place, key, id)
  for _, nominal in ipairs(call('ZRANGE', key .. id, 0, -1)) do
    local row = call('HGET', RUNS, nominal .. ':' .. id)
    if row then
      for _, value in ipairs({ tostring(place), nominal, row }) do open[#open + 1] = value end
    end
  end
end
for index, id in ipairs(ids) do
  add_open(index - 1, RUNNING, id)
  if is_pending then add_open(index - 1, PENDING, id) end
end
local states, definitions = read_all('HMGET', STATES, ids), read_all('HMGET', DEFINITIONS, ids)
return { pack(claimed), pack(ids, states, definitions), pack(open) }
