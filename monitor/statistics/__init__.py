"""Count the statistics of the day from what the tracker shows of the calls. Pure.

*The day* runs from local midnight to local midnight in the PBX's time zone. It has 23 or 25 hours
when clocks change. A call belongs to the day in which it began. A queue's caller belongs to the day
in which the caller came into the queue. An extension's call belongs to the day in which it first
rang or dialled there. All that follows belongs to the same day: what came in before midnight and is
answered after it does not count for the new day. So parts always make the whole:

- of a queue: offered = answered + abandoned + short abandons + diverted + unknown + waiting
- of an extension: offered = answered + abandoned + short abandons + missed + elsewhere + unknown +
  ringing
- of the PBX: calls = answered + missed + abandoned + unanswered + unknown + handled + transferred +
  pending

*Service level* follows ICMI and Genesys, with flow-outs included and short abandons not. It is the
part answered within the target, of those offered without short abandons. Two more groups are left
out: those who still wait and may yet be answered in time, and those whose wait or end nobody saw. A
caller who waits beyond the target counts against it at once, and so does a caller who was diverted.
It is null while there is nobody to count.

*Once.* Each call has an account (:mod:`monitor.statistics.call_account`) of what it counts for. The
statistics are sums over these accounts. An ended call is counted for good a minute later. Its id is
kept, so that the call does not count again if it is reported again.
"""
