-- Write rows of a feature view, except those of which a newer one is stored. Returns how many were written.
--
-- KEYS: one hash per row. ARGV: how many fields a row has; seconds after which a written key expires, or 0;
-- the fields' names, that of the event time first; then the fields' values, row by row.
--
-- An event time is a serialized google.protobuf.Timestamp, as Feast stores it: field 1 are the seconds,
-- field 2 the nanoseconds, and what is 0 is left out.

local byte, unpack, call = string.byte, unpack, redis.call
local MOST_ARGUMENTS = 4000 -- of one call; Lua's stack holds 8000 values

local function instant(message)
  local seconds, nanos, at = 0, 0, 1
  while at <= #message do
    local tag = byte(message, at)
    local value, scale, bytes = 0, 1, 0
    repeat
      at, bytes = at + 1, bytes + 1
      local group = byte(message, at)
      -- Numbers are doubles here: 42 bits are exact, and hold the seconds of any year.
      if bytes <= 6 then
        value, scale = value + (group % 128) * scale, scale * 128
      end
    until group < 128
    if bytes == 10 then
      value = value - scale
    end
    at = at + 1
    if tag == 8 then seconds = value else nanos = value end
  end
  return seconds, nanos
end

local function is_older(new, stored)
  local new_seconds, new_nanos = instant(new)
  local seconds, nanos = instant(stored)
  return new_seconds < seconds or (new_seconds == seconds and new_nanos < nanos)
end

local width, expiry = tonumber(ARGV[1]), tonumber(ARGV[2])
local time_field = ARGV[3]
local pairs_of_row, written = {}, 0
for field = 1, width do
  pairs_of_row[2 * field - 1] = ARGV[2 + field]
end
for row, key in ipairs(KEYS) do
  local before = 2 + row * width
  local new = ARGV[before + 1]
  local stored = call('HGET', key, time_field)
  if not stored or stored == new or not is_older(new, stored) then
    for field = 1, width do
      pairs_of_row[2 * field] = ARGV[before + field]
    end
    for first = 1, 2 * width, MOST_ARGUMENTS do
      call('HSET', key, unpack(pairs_of_row, first, math.min(first + MOST_ARGUMENTS - 1, 2 * width)))
    end
    if expiry > 0 then
      call('EXPIRE', key, expiry)
    end
    written = written + 1
  end
end
return written
