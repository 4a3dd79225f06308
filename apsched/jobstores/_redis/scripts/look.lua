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
local is_unfit, unfit, first = read_unfit(4)

local claimed, has_notes = {}, call('EXISTS', NOTES) == 1

local function claim(id, nominal, text, definition)
  local name = nominal .. ':' .. id
  local old = call('HGET', RUNS, name)
  local run = read_run(old)
  call('ZREM', PENDING .. id, nominal)
  if not run then return 0 end
  local epoch = string.format('%d', run.epoch + 1)
  local row = with_head(old, run, 'R', epoch, now, run.finished, node)
  put_run(name, nominal, run.code, 'R', row)
  local own_claim = table.concat({ nominal, epoch, now, node }, '/')
  call('HSET', RUNNING, id, with(call('HGET', RUNNING, id), own_claim))
  local notes = has_notes and call('HGET', NOTES, name) or ''
  add_row(claimed, id, text, definition, nominal, row, notes)
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

-- Return which jobs other nodes plan for, and how many these are.
local function read_held()
  local found, count = {}, 0
  local all = call('HGETALL', HELD)
  for at = 1, #all, 2 do
    local until_when, ids = unpack(cmsgpack.unpack(all[at + 1]))
    if tonumber(until_when) <= tonumber(time) then
      call('HDEL', HELD, all[at])
    elseif all[at] ~= node then
      for _, id in ipairs(ids) do found[id] = true end
      count = count + #ids
    end
  end
  return found, count
end

local is_held, others = read_held()
local ids, states = {}, {}

-- Whether a state is as it should be; if not, the job is due no more once this node has said why.
local function is_sound(state, executor)
  local _, last = string.find(state, '^%d+|L|%-?%d+|%-?%d*|%d+|%d*|')
  return last and string.sub(state, last + 1) == executor
end

local function hold_due(executor, free)
  local key = DUE .. executor
  local due = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, free + others + unfit)
  local found = read_all('HMGET', STATES, due)
  for index, id in ipairs(due) do
    if free == 0 then break end
    local state = found[index]
    if not state or not is_sound(state, executor) then call('ZREM', key, id) end
    if state and not is_held[id] and not is_unfit(id) then
      ids[#ids + 1] = id
      states[#states + 1] = state
      free = free - 1
    end
  end
end

for at = first, #ARGV, 2 do
  local free = claim_pending(ARGV[at], tonumber(ARGV[at + 1]))
  if free > 0 then hold_due(ARGV[at], free) end
end
write_runs()
if #ids > 0 then
  call('HSET', HELD, node, cmsgpack.pack({ string.format('%d', time + ARGV[3]), ids }))
end

local open, names, places = {}, {}, {}
local running, is_pending = read_all('HMGET', RUNNING, ids), any_pending()
for index, id in ipairs(ids) do
  local nominals = is_pending and call('ZRANGE', PENDING .. id, 0, -1) or {}
  for nominal in string.gmatch(running[index] or '', '(%-?%d+)/%S*') do nominals[#nominals + 1] = nominal end
  for _, nominal in ipairs(nominals) do
    names[#names + 1] = nominal .. ':' .. id
    places[#places + 1] = { tostring(index - 1), nominal }
  end
end
for index, row in ipairs(read_all('HMGET', RUNS, names)) do
  if row then
    add_row(open, places[index][1], places[index][2], row)
  end
end
local marked = {}
if call('EXISTS', MARKS) == 1 then
  for _, id in ipairs(claimed[1] or {}) do marked[#marked + 1] = id end
  for _, id in ipairs(ids) do marked[#marked + 1] = id end
end
return {
  pack(unpack(claimed)), pack(ids, states, read_all('HMGET', DEFINITIONS, ids)), pack(unpack(open)),
  pack(marked, read_all('HMGET', MARKS, marked)),
}
