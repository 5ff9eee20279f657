-- ARGV: node, session. Only the node that has put a ticket takes it out.
if redis.call('HGET', base .. 'ticket:' .. ARGV[2], 'node') ~= ARGV[1] then
    return 0
end
take(ARGV[2])
return 1
