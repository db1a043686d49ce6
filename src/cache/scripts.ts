/**
 * The scripts that Redis runs for the second level. Together they make a delete void every load in flight, on any
 * machine, as the leases of "Scaling Memcache at Facebook" (NSDI 2013) do: who wants to load takes the token in the
 * entry's place, and may store only while that very token is there. A deleted, expired, evicted or flushed key has no
 * token, so nothing that started before can be stored in its place. All keys of one cache share a hash slot.
 *
 * A full server judges a script by its first write alone, and lets PEXPIRE pass. So that comes last, or values would
 * be stored beyond `maxmemory`.
 */
import { redisScript, type RedisScript } from '../redis/index.ts'
import { FORMAT } from './envelope.ts'

const NOW = `
local time = redis.call('TIME')
local micros = time[1] .. string.format('%06d', time[2])
local millis = time[1] * 1000 + math.floor(time[2] / 1000)
`

const HEAD = `
local function head(key)
  return string.match(redis.call('GETRANGE', key, 0, 255), '^${FORMAT} (%S+) (%d+)')
end
`

const PROLONG = `
local function prolong(keys, ttl)
  for _, key in ipairs(keys) do
    if redis.call('PTTL', key) < tonumber(ttl) then redis.call('PEXPIRE', key, ttl) end
  end
end
`

/**
 * The versions of KEYS[2..], created where there are none. A created one starts with \`c\`: it is unlike any before it,
 * so entries from before it was lost are no longer valid, but it is no invalidation.
 */
const VERSIONS = `
local function versions(notAfter, ttl)
  local found = {}
  for i = 2, #KEYS do
    local version = redis.call('GET', KEYS[i])
    if not version then
      version = 'c' .. micros
      redis.call('SET', KEYS[i], version, 'PX', ttl)
    else
      local invalidatedAt = tonumber(version)
      if notAfter and invalidatedAt and invalidatedAt >= notAfter then return nil end
    end
    found[#found + 1] = version
  end
  return table.concat(found, ',')
end

local function store(token, start, found, freshMs, keptMs, ttl, body)
  local fresh = string.format('%.0f', millis + freshMs)
  local kept = string.format('%.0f', millis + keptMs)
  local line = table.concat({ '${FORMAT}', token, start, fresh, kept, found }, ' ')
  redis.call('SET', KEYS[1], line .. '\\n' .. body, 'PX', keptMs)
  prolong({ unpack(KEYS, 2) }, ttl)
end
`

/**
 * KEYS: entries. ARGV: how long a token is kept, in milliseconds; a new token for each entry.
 * Returns the time in microseconds, then the token that each entry has now.
 */
export const OPEN: RedisScript = redisScript(`${NOW}${HEAD}${PROLONG}
local reply = { micros }
for i, key in ipairs(KEYS) do
  local token = head(key)
  if not token then
    token = ARGV[i + 1]
    redis.call('SET', key, '${FORMAT} ' .. token .. ' 0', 'PX', ARGV[1])
  end
  reply[i + 1] = token
end
prolong(KEYS, ARGV[1])
return reply
`)

/**
 * KEYS: the entry, the version of clear, the versions of its tags. ARGV: token, start of the load in microseconds,
 * fresh, kept and tag lifetimes in milliseconds, body. Returns 1, or 0 if the entry or a tag was invalidated since the
 * load began, or if a value of a later load is there.
 */
export const COMMIT: RedisScript = redisScript(`${NOW}${HEAD}${PROLONG}${VERSIONS}
local token, start = head(KEYS[1])
if token ~= ARGV[1] or tonumber(start) > tonumber(ARGV[2]) then return 0 end
local found = versions(tonumber(ARGV[2]), ARGV[5])
if not found then return 0 end
store(token, ARGV[2], found, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return 1
`)

/** As COMMIT, unconditionally and with a new token, which voids every load in flight. ARGV[2] is not used. */
export const STORE: RedisScript = redisScript(`${NOW}${PROLONG}${VERSIONS}
store(ARGV[1], micros, versions(nil, ARGV[5]), ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return 1
`)

/** KEYS: versions. ARGV: lifetime in milliseconds. Moves each to a value that it never had before. */
export const ADVANCE: RedisScript = redisScript(`${NOW}
for _, key in ipairs(KEYS) do
  local version = tonumber(redis.call('GET', key) or '')
  local new = micros
  if version and version >= tonumber(micros) then new = string.format('%.0f', version + 1) end
  redis.call('SET', key, new, 'PX', ARGV[1])
end
return 1
`)
