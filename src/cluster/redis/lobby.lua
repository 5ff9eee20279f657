-- What the scripts of the lobby share. All its keys begin with KEYS[1], whose hash tag keeps them in one
-- slot of a Redis Cluster:
--   cards           hash: node -> its card
--   alive           sorted set: node, by when it last spoke (microseconds since 1970, by Redis's clock)
--   gone            set: nodes that are no more, whose tickets are being cleared
--   inbox:NODE      stream of notes, each in the field n
--   ticket:SESSION  hash: node, user, since, anyone, recent (users with spaces), combinations (with spaces)
--   queue:COMB      sorted set: session, by since when it waits
--   of:NODE         set: sessions that have a ticket
--   home:TALK       the node that has adopted a conversation
local base = KEYS[1]

local function micros()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

-- A whole number as Redis reads it: Lua alone would write 1.7e+15.
local function whole(number)
    return string.format('%.0f', number)
end

local function put(node, note, most)
    redis.call('XADD', base .. 'inbox:' .. node, 'MAXLEN', '~', most, '*', 'n', note)
end

-- Takes a ticket out; yields the node it was of.
local function take(session)
    local key = base .. 'ticket:' .. session
    local it = redis.call('HMGET', key, 'node', 'combinations')
    if not it[1] then
        return nil
    end
    for combination in string.gmatch(it[2], '%x+') do
        redis.call('ZREM', base .. 'queue:' .. combination, session)
    end
    redis.call('DEL', key)
    redis.call('SREM', base .. 'of:' .. it[1], session)
    return it[1]
end

-- Takes out at most so many tickets of a node; whether none is left.
local function clear(node, most)
    local sessions = redis.call('SRANDMEMBER', base .. 'of:' .. node, most)
    for _, session in ipairs(sessions) do
        if not take(session) then
            redis.call('SREM', base .. 'of:' .. node, session)
        end
    end
    return #sessions < most
end

-- Forgets a node. Its tickets are passed over from now on, and cleared bit by bit: a script that took out
-- ten thousand would hold up everybody.
local function forget(node)
    redis.call('HDEL', base .. 'cards', node)
    redis.call('ZREM', base .. 'alive', node)
    redis.call('DEL', base .. 'inbox:' .. node)
    redis.call('SADD', base .. 'gone', node)
end

local function sweep(most)
    local node = redis.call('SRANDMEMBER', base .. 'gone')
    if node and clear(node, most) then
        redis.call('SREM', base .. 'gone', node)
    end
end
