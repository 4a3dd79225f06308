-- Claim pending runs, and hold due jobs for a while so that no other node plans for them too.
-- ARGV: node, now, for how long they are held, which the clock of the server measures: those of nodes may differ; how
-- many jobs the node has tried in vain, of each its id and its mark; then for each executor: its alias, how many runs
-- it may take.
-- Returns: nothing if the node is dead; else
--   of each claimed run, in a row: job, state, definition, nominal time, run, notes;
--   of each held job: id, state, definition;
--   of each open run of these: the place of its job, nominal time, run;
--   of each of all these jobs, if there are marks: id, mark.
local node, now = ARGV[1], ARGV[2]
if not is_alive(node) then return false end
local time = server_time()
local until_when = string.format('%d', time + ARGV[3])
local is_unfit, unfit, first = read_unfit(4)

local claimed, claims, has_notes = {}, {}, call('EXISTS', NOTES) == 1

local function claim(id, nominal, text, definition)
  local name = nominal .. ':' .. id
  local old = call('HGET', RUNS, name)
  local run = read_run(old)
  call('ZREM', PENDING .. id, nominal)
  if not run then return 0 end
  local epoch = string.format('%d', run.epoch + 1)
  local row = with_head(old, run, 'R', epoch, now, run.finished, node)
  put_run(name, nominal, run.code, 'R', row)
  call('HSET', RUNNING, id, with(call('HGET', RUNNING, id), nominal))
  claims[#claims + 1] = name
  local notes = has_notes and call('HGET', NOTES, name) or ''
  for _, value in ipairs({ id, text, definition, nominal, row, notes }) do claimed[#claimed + 1] = value end
  return 1
end

local function claim_pending(executor, free)
  for _, id in ipairs(call('ZRANGEBYSCORE', READY .. executor, '-inf', now, 'LIMIT', 0, free + unfit)) do
    if free == 0 then break end
    local text = call('HGET', STATES, id)
    local state = read_state(text)
    if is_unfit(id) then
      -- left to others
    elseif not state then
      call('ZREM', READY .. executor, id)
    else
      local definition = call('HGET', DEFINITIONS, id) or ''
      text = revise(id, text)
      local running = count_running(id)
      while free > 0 and (state.limit == 0 or running < state.limit) do
        local nominal = call('ZRANGEBYSCORE', PENDING .. id, '-inf', now, 'LIMIT', 0, 1)[1]
        if not nominal then break end
        local count = claim(id, nominal, text, definition)
        free = free - count
        running = running + count
      end
      line_up(id, state)
    end
  end
  return free
end

local ids, states, held = {}, {}, {}

-- Whether a state is as it should be; if not, the job is due no more once this node has said why.
local function is_sound(state, executor)
  local _, last = string.find(state, '^%d+|L|%-?%d+|%-?%d*|%d+|%d*|')
  return last and string.sub(state, last + 1) == executor
end

local function hold_due(executor, free)
  local key = DUE .. executor
  local others = call('ZCARD', HELD)
  local due = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, free + others + unfit)
  local holds = others > 0 and read_all('ZMSCORE', HELD, due) or {}
  local found = read_all('HMGET', STATES, due)
  for index, id in ipairs(due) do
    if free == 0 then break end
    local state = found[index]
    if not state or not is_sound(state, executor) then call('ZREM', key, id) end
    if state and not holds[index] and not is_unfit(id) then
      ids[#ids + 1] = id
      states[#states + 1] = state
      held[#held + 1] = until_when
      held[#held + 1] = id
      free = free - 1
    end
  end
end

call('ZREMRANGEBYSCORE', HELD, '-inf', time)
for at = first, #ARGV, 2 do
  local free = claim_pending(ARGV[at], tonumber(ARGV[at + 1]))
  if free > 0 then hold_due(ARGV[at], free) end
end
write_runs()
in_parts('SADD', CLAIMS .. node, claims)
in_parts('ZADD', HELD, held)

local open, names, places = {}, {}, {}
local running, is_pending = read_all('HMGET', RUNNING, ids), any_pending()
for index, id in ipairs(ids) do
  local nominals = is_pending and call('ZRANGE', PENDING .. id, 0, -1) or {}
  for nominal in string.gmatch(running[index] or '', '%S+') do nominals[#nominals + 1] = nominal end
  for _, nominal in ipairs(nominals) do
    names[#names + 1] = nominal .. ':' .. id
    places[#places + 1] = { tostring(index - 1), nominal }
  end
end
for index, row in ipairs(read_all('HMGET', RUNS, names)) do
  if row then
    open[#open + 1] = places[index][1]
    open[#open + 1] = places[index][2]
    open[#open + 1] = row
  end
end
local marked = {}
if call('EXISTS', MARKS) == 1 then
  for at = 1, #claimed, 6 do marked[#marked + 1] = claimed[at] end
  for _, id in ipairs(ids) do marked[#marked + 1] = id end
end
return {
  pack(claimed), pack(ids, states, read_all('HMGET', DEFINITIONS, ids)), pack(open),
  pack(marked, read_all('HMGET', MARKS, marked)),
}
