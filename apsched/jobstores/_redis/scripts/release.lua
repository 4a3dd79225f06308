-- Let other nodes plan for the jobs that a node plans for. ARGV: node.
call('HDEL', HELD, ARGV[1])
return 1
