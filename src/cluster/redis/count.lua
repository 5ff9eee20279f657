-- KEYS[1]: a window. ARGV: how long it lasts (ms), 1 to count. Yields how many, and until its end (ms).
local used
if ARGV[2] == '1' then
    used = redis.call('INCR', KEYS[1])
else
    used = tonumber(redis.call('GET', KEYS[1]) or 0)
end
if used == 0 then
    return { 0, tonumber(ARGV[1]) }
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left = tonumber(ARGV[1])
end
return { used, left }
