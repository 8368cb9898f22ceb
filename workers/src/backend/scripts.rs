//! The Lua that needs several commands to be one step.
//!
//! KEYS[1] is always the stream, ARGV[1] the group, ARGV[2] our consumer. Sent as text each time: Redis keeps it
//! compiled, and `SCRIPT FLUSH` or a restart need no case of their own.

/// ARGV[3…]: ids. Sets the idle time of those that are still ours to zero; answers how many.
///
/// `XCLAIM` alone would steal back what another worker took over while we stalled.
pub(super) const BEAT: &str = "\
local mine = 0
for i = 3, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if p[1] and p[1][2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    mine = mine + 1
  end
end
return mine";

/// ARGV[3]: idle time in ms, ARGV[4]: how many at most. Takes over what was idle for longer; answers
/// `{id, fields, deliveries before this one}` for each.
///
/// `XAUTOCLAIM` would need a cursor kept between calls, and does not tell the deliveries.
pub(super) const RECLAIM: &str = "\
local out = {}
for _, p in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])) do
  local e = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], p[1])
  if e[1] and e[1][2] then out[#out + 1] = {p[1], e[1][2], p[4]} end
end
return out";

/// ARGV[3]: consumer that owns what nobody has, ARGV[4]: idle time in ms to give, ARGV[5…]: ids to keep. Hands back
/// everything else that is ours, as if it had not been delivered; answers how many.
pub(super) const RELEASE: &str = "\
local keep = {}
for i = 5, #ARGV do keep[ARGV[i]] = true end
local from, released, page = '-', 0, nil
repeat
  page = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 500, ARGV[2])
  for _, p in ipairs(page) do
    from = '(' .. p[1]
    if not keep[p[1]] then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, p[1],
        'IDLE', ARGV[4], 'RETRYCOUNT', math.max(p[4] - 1, 0), 'JUSTID')
      released = released + 1
    end
  end
until #page < 500
return released";

/// Deletes our consumer when it owns nothing; answers whether it did.
pub(super) const LEAVE: &str = "\
if redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])[1] then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1";

/// ARGV[3]: time in ms. Deletes other consumers that own nothing and were silent for longer; answers how many.
pub(super) const PRUNE: &str = "\
local gone = 0
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local info = {}
  for i = 1, #c, 2 do info[c[i]] = c[i + 1] end
  if info.name ~= ARGV[2] and info.pending == 0 and info.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], info.name)
    gone = gone + 1
  end
end
return gone";

/// ARGV[3…]: ids. Acknowledges and deletes them, and counts down what their accounts hold of the stream.
pub(super) const ACK: &str = "\
local ids = {unpack(ARGV, 3)}
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
local counts = KEYS[1] .. ':accounts'
if redis.call('EXISTS', counts) == 1 then
  for _, id in ipairs(ids) do
    local e = redis.call('XRANGE', KEYS[1], id, id)
    local f = e[1] and e[1][2] or {}
    for i = 1, #f, 2 do
      if f[i] == 'a' and redis.call('HINCRBY', counts, f[i + 1], -1) <= 0 then
        redis.call('HDEL', counts, f[i + 1])
      end
    end
  end
end
redis.call('XDEL', KEYS[1], unpack(ids))
return 1";
