-- Runs inside wrk. The line `local request = "..."` is put in front of this file.
--
-- wrk sends these very bytes: its own formatting orders headers by chance. Without a global function
-- `request` wrk asks once and keeps to its fast path.
wrk.init = function() end
wrk.request = function() return request end

-- The statistics object that wrk hands over can be indexed through its interface, but every such call
-- scans the array from its start, which takes minutes for a long tail. So the array is read where it
-- lies (struct stats of wrk's stats.h), and what was read is held against what the interface says.
local ffi = require "ffi"

function done(summary, latency)
   local stats = ffi.cast("struct { uint64_t count, limit, min, max; uint64_t data[1]; } **", latency)[0]
   local counts, sum = {}, 0
   if stats.count > 0 then
      assert(tonumber(stats.min) == latency.min and tonumber(stats.max) == latency.max,
             "wrk keeps its statistics in another way than wrk 4.1")
      for value = latency.min, latency.max do
         local count = tonumber(stats.data[value])
         if count > 0 then
            counts[#counts + 1] = string.format("[%d,%d]", value, count)
            sum = sum + count
         end
      end
      assert(sum == tonumber(stats.count) and #counts == #latency,
             "wrk keeps its statistics in another way than wrk 4.1")
   end
   local errors = summary.errors
   io.stdout:write(string.format(
      '\n{"duration_us":%d,"requests":%d,"bytes":%d,' ..
      '"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d},"latency":[%s]}\n',
      summary.duration, summary.requests, summary.bytes, errors.connect, errors.read, errors.write,
      errors.timeout, errors.status, table.concat(counts, ",")))
end
