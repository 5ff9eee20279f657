-- ARGV: node, card, after so long (us) it is dead, after so long (us) forgotten, tickets to clear at once.
-- Yields whether the node was known, then the cards of all others who live.
local me, card = ARGV[1], ARGV[2]
local now = micros()
local known = redis.call('HEXISTS', base .. 'cards', me)
if known == 0 then
    -- What an earlier life of it has left would be found, though nobody there waits.
    redis.call('SREM', base .. 'gone', me)
    redis.call('DEL', base .. 'inbox:' .. me)
    while not clear(me, 1000) do end
end
redis.call('HSET', base .. 'cards', me, card)
redis.call('ZADD', base .. 'alive', whole(now), me)
for _, node in ipairs(redis.call('ZRANGEBYSCORE', base .. 'alive', '-inf', whole(now - ARGV[4]))) do
    forget(node)
end
sweep(tonumber(ARGV[5]))
local answer = { known }
for _, node in ipairs(redis.call('ZRANGEBYSCORE', base .. 'alive', '(' .. whole(now - ARGV[3]), '+inf')) do
    if node ~= me then
        answer[#answer + 1] = redis.call('HGET', base .. 'cards', node)
    end
end
return answer
