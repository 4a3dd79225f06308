-- Store how runs ended, or that they wait again, each if its claim holds.
-- ARGV, for each: job, nominal time, the epoch, node and time of the claim (the last two may be '': any), code, run.
-- Returns a digit for each: 0 if its claim does not hold, 1 if it is stored, 2 if it was to wait and its job is gone.
local ids, names = {}, {}
for at = 1, #ARGV, 7 do
  ids[#ids + 1] = ARGV[at]
  names[#names + 1] = ARGV[at + 1] .. ':' .. ARGV[at]
end
local states, stored = read_all('HMGET', STATES, ids), read_all('HMGET', RUNS, names)
local answers, ended, is_done, changed, running = {}, {}, {}, {}, {}
for index, text in ipairs(read_all('HMGET', RUNNING, ids)) do running[ids[index]] = text end

local function may(run, epoch, node, claimed, code)
  if run.epoch ~= epoch then return false end
  if run.code == 'P' then return code == 'C' end
  return run.code == 'R' and (node == '' or run.node == node) and (claimed == '' or run.claimed == claimed)
end

local is_pending = any_pending()
for index, name in ipairs(names) do
  local id, nominal, epoch, node, claimed, code, row = unpack(ARGV, index * 7 - 6, index * 7)
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
    end
    if code ~= 'P' then
      put_run(name, nominal, run.code, code, row)
    elseif states[index] then
      put_run(name, nominal, run.code, 'P', row)
      call('ZADD', PENDING .. id, nominal, nominal)
      changed[id] = true
    else
      local back = read_run(row)
      answers[index] = 2
      local closed = with_head(row, back, 'X', back.epoch, back.claimed, server_time(), back.node)
      put_run(name, nominal, run.code, 'X', closed)
    end
  end
end

write_runs()
write_running(running)
for node, list in pairs(ended) do in_parts('SREM', CLAIMS .. node, list) end
local finished = {}
for index, id in ipairs(ids) do
  local text = answers[index] ~= 0 and states[index]
  local state = text and (is_pending or changed[id] or match(text, '^%d+|R')) and read_state(text)
  if state then
    if state.status == 'R' then finished[#finished + 1] = id end
    if changed[id] or is_pending and call('EXISTS', PENDING .. id) == 1 then line_up(id, state) end
    if changed[id] then revise(id, text) end
    changed[id] = nil
  end
end
bury_all(finished, running, is_pending or entered.P)
return table.concat(answers)
