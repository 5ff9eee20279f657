-- KEYS and ARGV: the first of arrive.lua.
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', till) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
