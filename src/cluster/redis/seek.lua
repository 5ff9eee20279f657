-- ARGV: node, session, user, 1 if anyone will do, waited (us), recent partners, combinations (both with
-- spaces), then how much longer (us) one of another node must have waited, after so long (us) a node is
-- dead, most tickets of one combination to look at, most notes of an inbox.
-- Yields session and node of who was found, or nothing.
local me, session, user, anyone, waited, recent = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local combinations, nearby, dead, most = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
-- Read at once, so that a queue of people who suit costs one command, and not more than that many looks.
local PAGE = 16
local now = micros()

local lives = { [me] = true }
local function living(node)
    if lives[node] == nil then
        local spoke = redis.call('ZSCORE', base .. 'alive', node)
        lives[node] = spoke and now - spoke < dead or false
    end
    return lives[node]
end

-- Someone may stand in several queues, and is judged once.
local judged = {}
local function judge(other)
    local it = judged[other]
    if it == nil then
        local ticket = redis.call('HMGET', base .. 'ticket:' .. other, 'node', 'user', 'anyone', 'recent')
        it = {}
        if not ticket[1] or not living(ticket[1]) then
            it.dead = true
        elseif ticket[2] ~= user then
            local met = string.find(recent, ticket[2], 1, true) or string.find(ticket[4], user, 1, true)
            it.suits = not met or (anyone == '1' and ticket[3] == '1')
            it.node = ticket[1]
        end
        judged[other] = it
    end
    return it
end

local function sooner(one, other)
    if not one or not other then
        return one or other
    end
    if one.since ~= other.since then
        return one.since < other.since and one or other
    end
    return one.session < other.session and one or other
end

local gone = {}
local function look(queue)
    local first, looked = nil, 0
    while looked < most do
        local page = redis.call('ZRANGE', queue, looked, looked + PAGE - 1, 'WITHSCORES')
        for i = 1, #page, 2 do
            local place = { session = page[i], since = tonumber(page[i + 1]) }
            if first and place.since - first.since > nearby then
                return first, nil
            end
            local it = judge(place.session)
            if it.dead then
                gone[#gone + 1] = { queue, place.session }
            elseif it.suits then
                place.node = it.node
                first = first or place
                if it.node == me then
                    return first, place
                end
            end
        end
        looked = looked + PAGE
        if #page < 2 * PAGE then
            break
        end
    end
    return first, nil
end

take(session)
local any, own
for combination in string.gmatch(combinations, '%x+') do
    local first, near = look(base .. 'queue:' .. combination)
    any, own = sooner(any, first), sooner(own, near)
end
for _, it in ipairs(gone) do
    if not take(it[2]) then
        redis.call('ZREM', it[1], it[2])
    end
end
local found = any
if own and own.since - any.since <= nearby then
    found = own
end
if found then
    take(found.session)
    if found.node ~= me then
        local note = '{"note":"found","session":"%s","seeker":"%s","node":"%s"}'
        put(found.node, string.format(note, found.session, session, me), ARGV[11])
    end
    return { found.session, found.node }
end
local since = whole(now - waited)
redis.call('HSET', base .. 'ticket:' .. session, 'node', me, 'user', user, 'since', since,
    'anyone', anyone, 'recent', recent, 'combinations', combinations)
redis.call('SADD', base .. 'of:' .. me, session)
for combination in string.gmatch(combinations, '%x+') do
    redis.call('ZADD', base .. 'queue:' .. combination, since, session)
end
return nil
