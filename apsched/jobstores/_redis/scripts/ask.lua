-- Ask the node that has claimed a run to cancel it. ARGV: job, nominal time, epoch, why.
-- Returns: 1, or 0 if it is no longer claimed under that epoch.
local id, nominal, epoch, reason = unpack(ARGV)
local name = nominal .. ':' .. id
local run = read_run(call('HGET', RUNS, name))
if not run or run.code ~= 'R' or run.epoch ~= epoch then return 0 end
call('HSET', ASKED, name, table.concat({ epoch, run.node, reason }, '|'))
return 1
