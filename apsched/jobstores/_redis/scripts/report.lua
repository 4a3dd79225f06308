-- Note what runs under way tell. ARGV, for each: job, nominal time, epoch, notes ('': none).
local names = {}
for at = 1, #ARGV, 4 do names[#names + 1] = ARGV[at + 1] .. ':' .. ARGV[at] end
local noted, bare = {}, {}
for index, row in ipairs(read_all('HMGET', RUNS, names)) do
  local run, epoch, notes = read_run(row), ARGV[4 * index - 1], ARGV[4 * index]
  if run and run.code == 'R' and run.epoch == epoch then
    if notes == '' then
      bare[#bare + 1] = names[index]
    else
      noted[#noted + 1] = names[index]
      noted[#noted + 1] = notes
    end
  end
end
in_parts('HSET', NOTES, noted)
in_parts('HDEL', NOTES, bare)
return 1
