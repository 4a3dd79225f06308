-- Forget runs that no rule keeps.
-- ARGV: the time before which runs are old, how many are kept by default, how many to forget at most, how many jobs to
-- pass over. Returns: how many were forgotten, how many jobs to pass over next time, whether there are no more.
local before, default, budget, skip = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local JOBS = 50    -- at a time
local YOUNG = 100  -- runs of a job that are looked at although they are too young
local limit = tonumber(before)

local has_notes = call('EXISTS', NOTES) == 1

local function ended_at(run, nominal)
  return run.started ~= '' and run.finished ~= '' and run.finished or nominal
end

local function drop(id, nominal, code)
  local name = nominal .. ':' .. id
  call('HDEL', RUNS, name)
  if has_notes then call('HDEL', NOTES, name) end
  call('ZREM', HISTORY, name)
  call('ZREM', HISTORY_OF .. id, nominal)
  if code == 'X' then code = 'C' end
  if code ~= 'S' then call('ZREM', OUTCOME .. code, name) end
end

-- Returns how many of a job were forgotten, and whether it is done with for now.
local function prune(id)
  local state = get_state(id)
  local own = state and state.status == 'L' and tonumber(state.kept)
  local kept = own or default
  local open = count_running(id) + call('ZCARD', PENDING .. id)
  local total = call('ZCARD', HISTORY_OF .. id)
  local excess = total - open - kept
  local forgotten, young, youngest = 0, 0, nil
  if excess > 0 then
    local nominals = call('ZRANGE', HISTORY_OF .. id, 0, math.min(excess, budget + YOUNG) + open - 1)
    for _, nominal in ipairs(nominals) do
      if excess == 0 or forgotten == budget or young == YOUNG then break end
      local run = read_run(call('HGET', RUNS, nominal .. ':' .. id))
      if not run then
        excess = excess - 1
      elseif run.code ~= 'R' and run.code ~= 'P' then
        excess = excess - 1
        local ended = ended_at(run, nominal)
        if own or tonumber(ended) < limit then
          drop(id, nominal, run.code)
          forgotten = forgotten + 1
        else
          young = young + 1
          if not youngest or tonumber(ended) < tonumber(youngest) then youngest = ended end
        end
      end
    end
  end
  if total - forgotten <= kept then
    call('ZREM', PRUNABLE, id)
    return forgotten, true
  end
  if youngest then
    call('ZADD', PRUNABLE, youngest, id)
    return forgotten, true
  end
  return forgotten, false
end

local total, is_last = 0, 1
local ids = call('ZRANGEBYSCORE', PRUNABLE, '-inf', '(' .. before, 'LIMIT', skip, JOBS)
for _, id in ipairs(ids) do
  local forgotten, is_done = prune(id)
  total = total + forgotten
  budget = budget - forgotten
  if budget == 0 then
    is_last = 0
    break
  end
  if not is_done then skip = skip + 1 end
end
if #ids == JOBS then is_last = 0 end
return { total, skip, is_last }
