-- Store how runs ended, or that they wait again, each if its claim holds, and the runs that follow.
-- ARGV: how many runs are kept by default; of each run, in lists: job, nominal time, claim, run; of those that have
-- notes, in lists: their numbers, notes; then, if the client knows who follows: of each job that is followed, in lists:
-- id, its followers as they were read; and of each run that follows, in lists: the number of the run that it follows,
-- its job, run.
-- Returns, if other jobs follow than the client knows, and then nothing is written: of each job that is followed, in a
-- row: its id, its followers as the client has to give them; of each follower, in a row: the job that it follows, id,
-- state, definition, why it is quarantined. Else a digit for each run: 0 if its claim does not hold, or it was to wait
-- and somebody wants it cancelled, 1 if it is stored, 2 if it was to wait and its job is gone; then one for each run that
-- follows, 1 if it is stored.
local default, ids, nominals, claims, rows, noted_numbers, noted_texts = unpack(ARGV, 1, 7)
local followed, marks, origins, followers, follower_rows = unpack(ARGV, 8)
local count, is_told = #ids, followed ~= nil
local notes, known = {}, {}
for index, number in ipairs(noted_numbers) do notes[tonumber(number)] = noted_texts[index] end
for index, id in ipairs(followed or {}) do known[id] = marks[index] end

local states = read_all('HMGET', STATES, ids)
local answers, is_done, changed, running = {}, {}, {}, {}
local any_asked = call('EXISTS', ASKED) == 1
for index, text in ipairs(read_all('HMGET', RUNNING, ids)) do running[ids[index]] = text end

-- Whether somebody wants the run of that claim cancelled.
local function is_asked(name, claim)
  local epoch = any_asked and read_asked(call('HGET', ASKED, name))
  return epoch == match(claim, '^[^/]*/(%d+)/')
end

-- Return what a run is that may end in that way: under way (R), as long as its claim holds and it is not to be cancelled
-- instead of waiting again, or pending (P), if it is cancelled. If it is neither: nothing, and whether it has ended in
-- that way already; not if a dead node has handed back what somebody else is about to settle, which raises the epoch.
local function find_open(id, name, claim, row)
  local code = string.sub(row, 1, 1)
  local left = without(running[id], claim)
  if left then
    if code == 'P' and is_asked(name, claim) then return nil, false end
    running[id] = left
    return 'R'
  end
  local run = read_run(call('HGET', RUNS, name))
  if not run or run.epoch ~= match(claim, '^[^/]*/(%d+)/') then return nil, false end
  if run.code == 'P' and code == 'C' then return 'P' end
  return nil, run.code == code and run.epoch == read_run(row).epoch
end

-- Return the followers of a job, and a text that another one takes the place of when one of them is changed.
local function read_followers(id)
  local found, children, revisions = call('HGETALL', FOLLOWERS .. id), {}, {}
  for pair = 1, #found, 2 do
    local is_quarantined = call('HEXISTS', QUARANTINE, found[pair]) == 1
    children[#children + 1] = found[pair]
    revisions[#revisions + 1] = found[pair + 1] .. (is_quarantined and '!' or '')
  end
  table.sort(revisions)
  return children, table.concat(revisions, ' ')
end

-- Return what the client has to know of those who follow these runs; nothing if it knows.
local function unknown_followers()
  local seen, asked, texts, parents, found = {}, {}, {}, {}, {}
  local is_followed = read_all('SMISMEMBER', FOLLOWED, ids)
  for index, id in ipairs(ids) do
    if (is_followed[index] == 1 or known[id]) and not seen[id] and match(rows[index], '^[SFTAC]') then
      seen[id] = true
      local children, text = read_followers(id)
      if text ~= (known[id] or '') then
        asked[#asked + 1] = id
        texts[#texts + 1] = text
        for _, follower in ipairs(children) do
          parents[#parents + 1] = id
          found[#found + 1] = follower
        end
      end
    end
  end
  if #asked == 0 then return nil end
  return {
    pack(asked, texts),
    pack(parents, found, read_all('HMGET', STATES, found), read_all('HMGET', DEFINITIONS, found), read_reasons(found)),
  }
end

if is_told or call('EXISTS', FOLLOWED) == 1 then
  local unknown = unknown_followers()
  if unknown then return unknown end
end

local is_pending, any_notes = any_pending(), call('EXISTS', NOTES) == 1
local is_ended, noted, bare, unasked = {}, {}, {}, {}
for index = 1, count do
  local id, nominal, row = ids[index], nominals[index], rows[index]
  local name, code = nominal .. ':' .. id, string.sub(row, 1, 1)
  local was, has_ended
  if not is_done[name] then was, has_ended = find_open(id, name, claims[index], row) end
  if not was then
    answers[index] = has_ended and 1 or 0
  else
    is_done[name] = true
    answers[index] = 1
    if was == 'P' then
      call('ZREM', PENDING .. id, nominal)
      changed[id] = true
    elseif any_asked then
      unasked[#unasked + 1] = name
    end
    if code ~= 'P' then
      put_run(name, nominal, was, code, row)
      if is_told then is_ended[index] = true end
    elseif states[index] then
      put_run(name, nominal, was, 'P', row)
      call('ZADD', PENDING .. id, due_of(row), nominal)
      changed[id] = true
    else
      local back = read_run(row)
      answers[index] = 2
      local closed = with_head(row, back, 'X', back.epoch, back.claimed, server_time(), back.node)
      put_run(name, nominal, was, 'X', closed)
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
for place, id in ipairs(followers or {}) do
  local index, row = tonumber(origins[place]), follower_rows[place]
  local nominal = nominals[index]
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
local finished = {}
for index = 1, count do
  local id = ids[index]
  local text = answers[index] ~= 0 and states[index]
  if text then
    if string.find(text, '|R|', 1, true) then finished[#finished + 1] = id end
    if changed[id] or is_pending and call('EXISTS', PENDING .. id) == 1 then
      local state = read_state(text)
      if state then line_up(id, state) end
      if state and changed[id] then revise(id, text) end
      changed[id] = nil
    end
  end
end
for index = count + 1, #ids do line_up(ids[index], get_state(ids[index])) end
bury_all(finished, running, is_pending or entered.P)
return table.concat(answers) .. table.concat(made)
