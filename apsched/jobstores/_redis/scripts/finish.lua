-- Store how runs ended, or that they wait again, each if its claim holds, and the runs that follow.
-- ARGV: how many runs are kept by default; how many runs, and of each: job, nominal time, the epoch, node and time of
-- the claim (the last two may be '': any), code, run; how many of these have notes, and of each: its number, notes;
-- then, if the client knows who follows: how many jobs are followed, and of each: its id, its followers as they were
-- read; and for each run that follows: the number of the run that it follows, its job, run.
-- Returns, if other jobs follow than the client knows, and then nothing is written: of each job that is followed, in a
-- row: its id, its followers as the client has to give them; of each follower, in a row: the job that it follows, id,
-- state, definition, why it is quarantined. Else a digit for each run: 0 if its claim does not hold, 1 if it is stored,
-- 2 if it was to wait and its job is gone; then one for each run that follows, 1 if it is stored.
local default, count = ARGV[1], tonumber(ARGV[2])
local at = 3 + 7 * count
local ids, names, notes, known = {}, {}, {}, {}
for first = 3, at - 1, 7 do
  ids[#ids + 1] = ARGV[first]
  names[#names + 1] = ARGV[first + 1] .. ':' .. ARGV[first]
end
for _ = 1, tonumber(ARGV[at]) do
  notes[tonumber(ARGV[at + 1])] = ARGV[at + 2]
  at = at + 2
end
at = at + 1
local is_told = ARGV[at] ~= nil
for _ = 1, tonumber(ARGV[at] or 0) do
  known[ARGV[at + 1]] = ARGV[at + 2]
  at = at + 2
end
local first_follower = at + 1

local states, stored = read_all('HMGET', STATES, ids), read_all('HMGET', RUNS, names)
local answers, ended, is_done, changed, running = {}, {}, {}, {}, {}
for index, text in ipairs(read_all('HMGET', RUNNING, ids)) do running[ids[index]] = text end

local function may(run, epoch, node, claimed, code)
  if run.epoch ~= epoch then return false end
  if run.code == 'P' then return code == 'C' end
  return run.code == 'R' and (node == '' or run.node == node) and (claimed == '' or run.claimed == claimed)
end

-- Return the followers of a job, and a text that another one takes the place of when one of them is changed.
local function read_followers(id)
  local found, followers, marks = call('HGETALL', FOLLOWERS .. id), {}, {}
  for pair = 1, #found, 2 do
    local is_quarantined = call('HEXISTS', QUARANTINE, found[pair]) == 1
    followers[#followers + 1] = found[pair]
    marks[#marks + 1] = found[pair + 1] .. (is_quarantined and '!' or '')
  end
  table.sort(marks)
  return followers, table.concat(marks, ' ')
end

-- Return what the client has to know of those who follow these runs; nothing if it knows.
local function unknown_followers()
  local seen, followed, texts, origins, found = {}, {}, {}, {}, {}
  local is_followed = read_all('SMISMEMBER', FOLLOWED, ids)
  for index, id in ipairs(ids) do
    if (is_followed[index] == 1 or known[id]) and not seen[id] and match(ARGV[7 * index + 1], '[SFTAC]') then
      seen[id] = true
      local followers, text = read_followers(id)
      if text ~= (known[id] or '') then
        followed[#followed + 1] = id
        texts[#texts + 1] = text
        for _, follower in ipairs(followers) do
          origins[#origins + 1] = id
          found[#found + 1] = follower
        end
      end
    end
  end
  if #followed == 0 then return nil end
  return {
    pack(followed, texts),
    pack(origins, found, read_all('HMGET', STATES, found), read_all('HMGET', DEFINITIONS, found), read_reasons(found)),
  }
end

if is_told or call('EXISTS', FOLLOWED) == 1 then
  local unknown = unknown_followers()
  if unknown then return unknown end
end

local is_pending, any_asked, any_notes = any_pending(), call('EXISTS', ASKED) == 1, call('EXISTS', NOTES) == 1
local is_ended, noted, bare, unasked = {}, {}, {}, {}
for index, name in ipairs(names) do
  local id, nominal, epoch, node, claimed, code, row = unpack(ARGV, index * 7 - 4, index * 7 + 2)
  local run = not is_done[name] and read_run(stored[index])
  if not run then
    answers[index] = 0
  elseif not may(run, epoch, node, claimed, code) then
    answers[index] = run.code == code and run.epoch == epoch and 1 or 0
  else
    is_done[name] = true
    answers[index] = 1
    if run.code == 'P' then
      call('ZREM', PENDING .. id, nominal)
      changed[id] = true
    else
      running[id] = without(running[id], nominal)
      local list = ended[run.node] or {}
      ended[run.node] = list
      list[#list + 1] = name
      if any_asked then unasked[#unasked + 1] = name end
    end
    if code ~= 'P' then
      put_run(name, nominal, run.code, code, row)
      if is_told then is_ended[index] = true end
    elseif states[index] then
      put_run(name, nominal, run.code, 'P', row)
      call('ZADD', PENDING .. id, due_of(row), nominal)
      changed[id] = true
    else
      local back = read_run(row)
      answers[index] = 2
      local closed = with_head(row, back, 'X', back.epoch, back.claimed, server_time(), back.node)
      put_run(name, nominal, run.code, 'X', closed)
    end
    if notes[index] then
      noted[#noted + 1] = name
      noted[#noted + 1] = notes[index]
    elseif any_notes then
      bare[#bare + 1] = name
    end
  end
end

local made = {}
for first = first_follower, #ARGV, 3 do
  local index, id, row = tonumber(ARGV[first]), ARGV[first + 1], ARGV[first + 2]
  local nominal = ARGV[7 * index - 3]
  local name = nominal .. ':' .. id
  local text = is_ended[index] and not is_done[name] and call('HEXISTS', RUNS, name) == 0 and call('HGET', STATES, id)
  local state = text and read_state(text)
  made[#made + 1] = 0
  if state and state.status == 'L' then
    made[#made] = 1
    is_done[name] = true
    enqueue(id, text, nominal, row, default)
    ids[#ids + 1] = id
  end
end

write_runs()
write_running(running)
in_parts('HSET', NOTES, noted)
in_parts('HDEL', NOTES, bare)
in_parts('HDEL', ASKED, unasked)
for node, list in pairs(ended) do in_parts('SREM', CLAIMS .. node, list) end
local finished = {}
for index = 1, count do
  local id = ids[index]
  local text = answers[index] ~= 0 and states[index]
  local state = text and (is_pending or changed[id] or match(text, '^%d+|R')) and read_state(text)
  if state then
    if state.status == 'R' then finished[#finished + 1] = id end
    if changed[id] or is_pending and call('EXISTS', PENDING .. id) == 1 then line_up(id, state) end
    if changed[id] then revise(id, text) end
    changed[id] = nil
  end
end
for index = count + 1, #ids do line_up(ids[index], get_state(ids[index])) end
bury_all(finished, running, is_pending or entered.P)
return table.concat(answers) .. table.concat(made)
