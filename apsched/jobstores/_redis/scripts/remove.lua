-- Remove a job and its pending runs. ARGV: id. Returns: 1, or 0 if there is no such job.
local text = call('HGET', STATES, ARGV[1])
local state = read_state(text)
if not text or state and state.status == 'R' then return 0 end
forget(ARGV[1], state)
write_runs()
return 1
