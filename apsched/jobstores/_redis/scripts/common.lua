-- What every script begins with: the names of the keys, and how states and runs are read and written.
--
-- KEYS[1] is the hash tag. All keys begin with it and so lie in one slot of a cluster; those of jobs, nodes and
-- executors are made here. The arguments come as one text of MessagePack, some of them lists, and long answers go as one
-- text too, since clients in Python take a while for each of thousands of values.
--
-- Rule 1: a script finds out first whether it may, and writes after that: an error half-way would leave a half.
-- Rule 2: a claim of a run is nominal/epoch/time of the claim/node. It holds as long as it stands in RUNNING.
-- Rule 3: an instant is the text of its microseconds since 1970, UTC; as a number only where order is all that counts.
-- Rule 4: a damaged value is left as it is and never raises: it must not keep the others from being worked on.

local call = redis.call
local match = string.match
local TAG = KEYS[1]
local ARGV = cmsgpack.unpack(ARGV[1])

local DEFINITIONS = TAG .. ':definitions'  -- hash: job -> definition
local STATES = TAG .. ':states'            -- hash: job -> revision|status|next run|next nominal|limit|kept runs|executor
local QUARANTINE = TAG .. ':quarantine'    -- hash: job -> why it cannot run
local MARKS = TAG .. ':marks'              -- hash: job -> why some node cannot run it, which others may
local ORDER = TAG .. ':order'              -- zset: the jobs by next run time
local REVISION = TAG .. ':revision'        -- number: the last one given
local DUE = TAG .. ':due:'                 -- zset of an executor: jobs that are neither paused nor quarantined
local READY = TAG .. ':ready:'             -- zset of an executor: jobs by when a pending run is due and may start
local LANES = TAG .. ':lanes'              -- set: the lanes in which jobs are or were, but for those of an executor alone
local EXPECTING = TAG .. ':expecting'      -- set: jobs that are to succeed now and then
local FOLLOWS = TAG .. ':follows'          -- hash: job -> the job that it follows
local FOLLOWED = TAG .. ':followed'        -- set: jobs that others follow
local FOLLOWERS = TAG .. ':followers:'     -- hash of a job: jobs that follow it -> the revision since which they do
local HELD = TAG .. ':held'                -- hash: node -> {when others need not heed it, the jobs that it plans for}
local RUNS = TAG .. ':runs'                -- hash: nominal:job -> run
local NOTES = TAG .. ':notes'              -- hash: nominal:job -> earlier attempts at a run, and what it reports
local ASKED = TAG .. ':asked'              -- hash: nominal:job -> epoch|node|why that node is to cancel that claim
local HISTORY = TAG .. ':history'          -- zset: the runs by nominal time
local HISTORY_OF = TAG .. ':history:'      -- zset of a job: its nominal times
local PENDING = TAG .. ':pending:'         -- zset of a job: the nominal times that wait, by when they are due
local RUNNING = TAG .. ':running'          -- hash: job -> its claims, which are under way, with spaces between
local OUTCOME = TAG .. ':outcome:'         -- zset of an outcome but running and success: its runs by nominal time
local PRUNABLE = TAG .. ':prunable'        -- zset: jobs with more runs than are kept, by when one of them is too old
local NODES = TAG .. ':nodes'              -- set: the nodes
local NODE = TAG .. ':node:'               -- hash of a node

local MANY = 4000  -- values that one call takes; Lua has room for less than 8000

local function in_parts(command, key, values)
  for first = 1, #values, MANY do
    call(command, key, unpack(values, first, math.min(first + MANY - 1, #values)))
  end
end

local function read_all(command, key, names)
  if #names <= MANY then
    return #names == 0 and {} or call(command, key, unpack(names))
  end
  local found = {}
  for first = 1, #names, MANY do
    local part = call(command, key, unpack(names, first, math.min(first + MANY - 1, #names)))
    for index = 1, #part do
      found[first + index - 1] = part[index]
    end
  end
  return found
end

-- Add a row to columns, which are lists; `pack(unpack(columns))` is to follow.
local function add_row(columns, ...)
  for place, value in ipairs({ ... }) do
    local column = columns[place] or {}
    columns[place] = column
    column[#column + 1] = value
  end
end

-- Return columns of texts as one text of MessagePack, in which Lua does not take long for long texts. A missing text
-- may be false; where they are all missing, the column may be empty.
local function pack(...)
  return cmsgpack.pack({ ... })
end

local function server_time()
  local time = call('TIME')
  return string.format('%s%06d', time[1], time[2])
end

local function is_alive(node)
  return call('HGET', NODE .. node, 'is_dead') == '0'
end

-- Whether there is a pending run at all; mostly there is none, which saves asking job by job.
local function any_pending()
  return call('EXISTS', OUTCOME .. 'P') == 1
end

-- jobs

local function read_state(text)
  if not text then return nil end
  local revision, status, next_run, next_nominal, limit, kept, executor =
    match(text, '^(%d+)|([LR])|(%-?%d*)|(%-?%d*)|(%d+)|(%d*)|(.*)$')
  if not revision then return nil end
  return {
    status = status, next_run = next_run, next_nominal = next_nominal, limit = tonumber(limit), kept = kept,
    executor = executor,
  }
end

local function get_state(id)
  return read_state(call('HGET', STATES, id))
end

-- Return why each of these jobs cannot run, by any node or by some.
local function read_reasons(ids)
  local found = read_all('HMGET', QUARANTINE, ids)
  if call('EXISTS', MARKS) == 1 then
    local marks = read_all('HMGET', MARKS, ids)
    for index = 1, #ids do found[index] = found[index] or marks[index] end
  end
  return found
end

-- Read from ARGV which jobs a node has tried in vain: how many at `at`, then of each its id and its mark. Return a
-- function that says whether a job is one of them and bears that mark still, how many they are, and where ARGV goes on.
local function read_unfit(at)
  local count, unfit = tonumber(ARGV[at]), {}
  for index = at + 1, at + 2 * count, 2 do unfit[ARGV[index]] = ARGV[index + 1] end
  local function is_unfit(id)
    return unfit[id] ~= nil and call('HGET', MARKS, id) == unfit[id]
  end
  return is_unfit, count, at + 2 * count + 1
end

-- Give a state a new revision, so that whoever has read the old one may not change the job any more.
local function revise(id, text)
  text = string.format('%d', call('INCR', REVISION)) .. string.sub(text, (string.find(text, '|', 1, true)))
  call('HSET', STATES, id, text)
  return text
end

local function count_running(id)
  local text = call('HGET', RUNNING, id)
  return text and select(2, string.gsub(text, '%S+', '')) or 0
end

local function with(text, claim)
  return text and text ~= '' and text .. ' ' .. claim or claim
end

-- Return the claims in that text but this one; nothing if it is not there.
local function without(text, claim)
  if text == claim then return '' end
  local padded = ' ' .. (text or '') .. ' '
  local first, last = string.find(padded, ' ' .. claim .. ' ', 1, true)
  return first and string.sub(string.sub(padded, 1, first) .. string.sub(padded, last + 1), 2, -2)
end

-- Write what is under way of jobs, a table of the texts of RUNNING.
local function write_running(texts)
  local kept, gone = {}, {}
  for id, text in pairs(texts) do
    if text == '' then
      gone[#gone + 1] = id
    elseif text then
      kept[#kept + 1] = id
      kept[#kept + 1] = text
    end
  end
  in_parts('HSET', RUNNING, kept)
  in_parts('HDEL', RUNNING, gone)
end

-- Note why a job cannot run: by any node, or (with a mark) by some.
local function set_aside(id, text, why, mark)
  local state = read_state(text)
  if mark ~= '' and not (state and state.status == 'R') then
    call('HSET', MARKS, id, mark)
  else
    call('HSET', QUARANTINE, id, why)
    if state then
      call('ZREM', DUE .. state.executor, id)
      call('ZREM', READY .. state.executor, id)
    end
  end
  if state then revise(id, text) end
end

-- Let the index of pending runs say from when on one of this job may start.
local function line_up(id, state)
  local due = call('ZRANGE', PENDING .. id, 0, 0, 'WITHSCORES')[2]
  local key = READY .. state.executor
  if due and (state.limit == 0 or count_running(id) < state.limit)
    and call('HEXISTS', QUARANTINE, id) == 0 then
    call('ZADD', key, due, id)
  else
    call('ZREM', key, id)
  end
end

-- Forget those of the finished jobs whose last runs have ended. `running` has their texts of RUNNING.
local function bury_all(ids, running, may_wait)
  local gone = {}
  for _, id in ipairs(ids) do
    local is_running = running[id] and running[id] ~= ''
    if not is_running and not (may_wait and call('EXISTS', PENDING .. id) == 1) then gone[#gone + 1] = id end
  end
  in_parts('HDEL', DEFINITIONS, gone)
  in_parts('HDEL', STATES, gone)
end

-- runs

local function read_run(row)
  if not row then return nil end
  local code, epoch, claimed, started, finished, node, body =
    match(row, '^(%u)|(%d+)|(%-?%d*)|(%-?%d*)|(%-?%d*)|([^\n]*)\n()')
  if not code then return nil end
  return { code = code, epoch = epoch, claimed = claimed, started = started, finished = finished, node = node, body = body }
end

-- Return the text of when a run is due.
local function due_of(row)
  return match(row, '^[^\n]*\n%[(%-?%d+)')
end

-- Return what is noted of runs; mostly there is nothing, of any.
local function read_notes(names)
  return call('EXISTS', NOTES) == 1 and read_all('HMGET', NOTES, names) or {}
end

-- Return the epoch and the node of the claim that is to be cancelled, and why.
local function read_asked(text)
  return match(text or '', '^(%d+)|([^|]*)|(.*)$')
end

-- Return why runs are to be cancelled, by the nodes that have them.
local function read_cancel_reasons(names, found)
  local reasons = {}
  if call('EXISTS', ASKED) == 1 then
    for index, text in ipairs(read_all('HMGET', ASKED, names)) do
      local run = text and read_run(found[index])
      local epoch, node, reason = read_asked(text)
      reasons[index] = run and run.code == 'R' and run.epoch == epoch and run.node == node and reason or false
    end
  end
  return reasons
end

-- Return the claims under way, of all nodes or of one, each as a table.
local function read_claims(only_node)
  local claims, found = {}, call('HGETALL', RUNNING)
  for at = 1, #found, 2 do
    for text in string.gmatch(found[at + 1], '%S+') do
      local nominal, node = match(text, '^(%-?%d+)/%d+/[^/]*/(.*)$')
      if nominal and (not only_node or node == only_node) then
        local id = found[at]
        claims[#claims + 1] = { text = text, id = id, name = nominal .. ':' .. id, nominal = nominal, node = node }
      end
    end
  end
  return claims
end

-- Return the row of a run with another head.
local function with_head(row, run, code, epoch, claimed, finished, node)
  local head = table.concat({ code, epoch, claimed, run.started, finished, node }, '|')
  return head .. '\n' .. string.sub(row, run.body)
end

local rows, entered, left = {}, {}, {}

-- Note that a run is to be written; `write_runs` does it for all of them at once.
local function put_run(run, nominal, before, after, row)
  rows[#rows + 1] = run
  rows[#rows + 1] = row
  if before == 'X' then before = 'C' end
  if after == 'X' then after = 'C' end
  if before == after then return end
  if before and before ~= 'S' and before ~= 'R' then
    local list = left[before] or {}
    left[before] = list
    list[#list + 1] = run
  end
  if after ~= 'S' and after ~= 'R' then
    local list = entered[after] or {}
    entered[after] = list
    list[#list + 1] = nominal
    list[#list + 1] = run
  end
end

local function write_runs()
  in_parts('HSET', RUNS, rows)
  for code, list in pairs(left) do in_parts('ZREM', OUTCOME .. code, list) end
  for code, list in pairs(entered) do in_parts('ZADD', OUTCOME .. code, list) end
end

-- Let a run of a job in the list wait; `write_runs` and then `line_up` are to follow.
local function enqueue(id, text, nominal, row, default)
  local name = nominal .. ':' .. id
  put_run(name, nominal, nil, 'P', row)
  call('ZADD', HISTORY, nominal, name)
  call('ZADD', HISTORY_OF .. id, nominal, nominal)
  call('ZADD', PENDING .. id, due_of(row), nominal)
  local kept = read_state(text).kept
  if call('ZCARD', HISTORY_OF .. id) > tonumber(kept == '' and default or kept) then
    call('ZADD', PRUNABLE, 'NX', '-inf', id)
  end
  revise(id, text)
end

-- Close the pending runs of a job that is removed: code X says so.
local function cancel_pending(id)
  local nominals = call('ZRANGE', PENDING .. id, 0, -1)
  if #nominals == 0 then return end
  local names = {}
  for index, nominal in ipairs(nominals) do names[index] = nominal .. ':' .. id end
  local found = read_all('HMGET', RUNS, names)
  local now = server_time()
  for index, name in ipairs(names) do
    local run = read_run(found[index])
    if run then
      local row = with_head(found[index], run, 'X', run.epoch, run.claimed, now, run.node)
      put_run(name, nominals[index], run.code, 'X', row)
    end
  end
  call('DEL', PENDING .. id)
end

-- Let a job follow no other.
local function unfollow(id)
  local followed = call('HGET', FOLLOWS, id)
  if followed then
    call('HDEL', FOLLOWS, id)
    call('HDEL', FOLLOWERS .. followed, id)
    if call('EXISTS', FOLLOWERS .. followed) == 0 then call('SREM', FOLLOWED, followed) end
  end
end

-- Remove a job that is in the list.
local function forget(id, state)
  call('HDEL', DEFINITIONS, id)
  call('HDEL', STATES, id)
  call('HDEL', QUARANTINE, id)
  call('HDEL', MARKS, id)
  call('ZREM', ORDER, id)
  call('SREM', EXPECTING, id)
  unfollow(id)
  call('ZADD', PRUNABLE, 'NX', '-inf', id)
  if state then
    call('ZREM', DUE .. state.executor, id)
    call('ZREM', READY .. state.executor, id)
  end
  cancel_pending(id)
end
