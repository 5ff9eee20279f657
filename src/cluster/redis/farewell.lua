-- ARGV: node, tickets to clear at once. The others' heartbeats clear the rest.
forget(ARGV[1])
if clear(ARGV[1], tonumber(ARGV[2])) then
    redis.call('SREM', base .. 'gone', ARGV[1])
end
