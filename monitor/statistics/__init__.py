"""The figures of the day, counted from what the tracker shows of the calls. Pure.

*The day* runs from local midnight to local midnight in the PBX's time zone and has 23 or 25 hours when clocks change.
A call belongs to the day in which it began, a queue's caller to the day in which he came into the queue, an extension's
call to the day in which it first rang or dialled there, with all that follows: what came in before midnight and is
answered after it is not of the new day. So parts always make the whole:

- of a queue: offered = answered + abandoned + short abandons + diverted + unknown + waiting
- of an extension: offered = answered + abandoned + short abandons + missed + elsewhere + unknown + ringing
- of the PBX: calls = answered + missed + abandoned + unanswered + unknown + pending

*Service level*, as ICMI and Genesys have it with flow-outs included and short abandons not: those answered within the
target, of those offered without short abandons. Left out are also those of which nothing can be said: who still waits
and may yet be answered in time, and whose wait or end nobody saw. Who waits beyond the target counts against it at
once, and so does who was diverted. Null while there is nobody to count.

*Once.* What is held of a call (:mod:`monitor.statistics.call_account`) tells what it counts for; figures are sums over
calls. A call that is over is counted for good a minute later, and its id is kept, so that it can be told again without
harm.
"""
