"""Hold the documented answers to queries about :mod:`tests.gateway.world`; field order counts."""

from __future__ import annotations

LEG_101 = (
    '{"dnNum":"101","dnType":"extension","externalParty":"103","status":"Connected","name":"","partyName":"",'
    '"partyDn":"","onBehalfOf":"","referredBy":"","legId":null,"participantId":null,"deviceId":"","since":null,"hidden":false,"listening":false}'
)
LEG_103 = LEG_101.replace("101", "?").replace("103", "101").replace("?", "103")
LEG_LINE = (
    '{"dnNum":"10000","dnType":"externalline","externalParty":"0301234567","status":"Connected","name":"skyetel",'
    '"partyName":"","partyDn":"","onBehalfOf":"","referredBy":"","legId":1,"participantId":null,"deviceId":"",'
    '"since":null,"hidden":false,"listening":false}'
)
LEG_102 = (
    '{"dnNum":"102","dnType":"extension","externalParty":"0301234567","status":"Ringing","name":"","partyName":"",'
    '"partyDn":"","onBehalfOf":"800","referredBy":"","legId":null,"participantId":7,"deviceId":"","since":null,"hidden":false,"listening":false}'
)
LEG_1000 = LEG_101.replace('"101"', '"1000"').replace('"103"', '"0301234567"')


def ended(call_id: int, ended_at: str, extensions: str, queues: str) -> str:
    return (
        f'{{"callID":{call_id},"direction":"Inbound","did":"","queue":"","startedAt":"2026-03-04T03:15:00.000Z",'
        f'"answeredAt":null,"endedAt":"{ended_at}","outcome":"missed","caller":"0301234567","callerName":"",'
        f'"callee":"","calleeName":"","extensions":{extensions},"queues":{queues},"groups":[],"lines":[],'
        f'"extgroups":[],"queuedAt":null,"hidden":false,"returnedAt":null,"returnedBy":"",'
        f'"mailbox":"","continues":[]}}'
    )


ANSWERS: list[tuple[str, dict[str, str], str]] = [
    ("pbx.calls.get", {}, '{"result":3}'),
    (
        "pbx.ac.get",
        {},
        (
            '{"count":3,"AConnByCallID":['
            f'{{"callID":9,"direction":"Inbound","did":"Sales '
            f'line","AConnList":[{LEG_LINE},{LEG_102}]}},'
            f'{{"callID":46874,"direction":"Internal","did":"","AConnList":[{LEG_101},{LEG_103}]}},'
            f'{{"callID":50000,"direction":"Inbound","did":"","AConnList":[{LEG_1000}]}}]}}'
        ),
    ),
    (
        "pbx.callsinfo.get",
        {},
        (
            '{"count":3,"callsInfo":['
            '{"callID":9,"state":"Routing","startedAt":"2022-12-29T08:38:00.000Z",'
            '"answeredAt":null,"did":"Sales line",'
            f'"owner":{LEG_LINE},"talkTo":[],"routingTo":[{LEG_102}]}},'
            '{"callID":46874,"state":"Talking","startedAt":"2022-12-29T08:37:16.000Z",'
            f'"answeredAt":"2022-12-29T08:37:23.000Z","did":"","owner":{LEG_101},"talkTo":[{LEG_103}],"routingTo":[]}},'
            '{"callID":50000,"state":"Initiating","startedAt":"2026-03-04T03:15:00.000Z","answeredAt":null,"did":"",'
            f'"owner":{LEG_1000},"talkTo":[],"routingTo":[]}}]}}'
        ),
    ),
    (
        "pbx.ended.get",
        {},
        '{"count":3,"ended":['
        + ",".join(
            [
                ended(5, "2026-03-04T03:15:00.000Z", '["1000"]', '["800"]'),
                ended(7, "2026-03-04T03:15:00.000Z", '["101"]', "[]"),
                ended(3, "2026-03-04T03:16:00.000Z", '["1000"]', "[]"),
            ]
        )
        + "]}",
    ),
    (
        "pbx.stats.get",
        {},
        (
            '{"date":"2026-03-04","zone":"Europe/Berlin","since":"2026-03-03T23:00:00.000Z",'
            '"countedSince":"2026-03-03T23:00:00.000Z","calls":68,"answered":55,'
            '"inbound":{"calls":47,"answered":38,"missed":4,"abandoned":4,"unanswered":0,"unknown":0,"pending":1,'
            '"talks":{"count":37,"total":6641.5,"average":179.5,"longest":913.8},"handled":0,"transferred":0},'
            '"outbound":{"calls":14,"answered":11,"missed":0,"abandoned":0,"unanswered":3,"unknown":0,"pending":0,'
            '"talks":{"count":11,"total":1298.0,"average":118.0,"longest":402.9},"handled":0,"transferred":0},'
            '"internal":{"calls":7,"answered":6,"missed":0,"abandoned":0,"unanswered":1,"unknown":0,"pending":0,'
            '"talks":{"count":6,"total":291.0,"average":48.5,"longest":121.7},"handled":0,"transferred":0},'
            '"peak":7,"peakAt":"2026-03-04T07:41:12.300Z","active":3,"yesterday":null}'
        ),
    ),
    (
        "all.pbx.get",
        {},
        (
            '{"count":1,"pbxs":[{"name":"main","connection":"connected",'
            '"since":"2026-03-04T03:15:00.000Z","reason":"","version":"20.0","licenceLimit":32,'
            '"calls":3,"waiting":0,"waitingSince":null,"linesUsed":0,"linesTotal":null,'
            '"alarms":[]}]}'
        ),
    ),
    ("all.ext.get", {}, '{"nums":["99","101","102","103","1000"]}'),
    ("all.registered.get", {}, '{"nums":["99","101","102","1000"]}'),
    ("all.group.get", {}, '{"nums":["600","601"]}'),
    ("all.queue.get", {}, '{"nums":["800","801"]}'),
    ("all.ivr.get", {}, '{"nums":["70","777","HOL"]}'),
    ("all.line.get", {}, '{"nums":["10000","90000"]}'),
    ("all.extgroup.get", {}, '{"extGroups":["DEFAULT","Sales"]}'),
    (
        "ext.info.get",
        {"num": "99"},
        (
            '{"num":"99","name":"Tom","lastname":"Smith","email":"tom@example.com","firstname":"Tom","mobile":"+49170",'
            '"authid":"a99","callerid":"+4930","enabled":1,"deliveraudio":0,"recordcalls":2,"sipid":"s99",'
            '"reinvite":null,"replaces":null,"vmemail":0,"vmenabled":0,"vmplaycallerid":0,"vmplaydatetime":0,'
            '"internal":0,"noanswertimeout":20,"queues":["800"],"groups":["600","601"],"extgroups":["DEFAULT","Sales"]}'
        ),
    ),
    (
        "ext.state.get",
        {"num": "102"},
        (
            '{"num":"102","registered":true,"status":"Busy","fwdName":"Available","qGlobalStatus":"LoggedIn",'
            '"qStatus":[{"num":"800","status":null},{"num":"801","status":null}]}'
        ),
    ),
    (
        "ext.state.get",
        {"num": "99"},
        (
            '{"num":"99","registered":true,"status":"Free","fwdName":"Available","qGlobalStatus":"LoggedIn",'
            '"qStatus":[{"num":"800","status":"LoggedIn"}]}'
        ),
    ),
    (
        "ext.stats.get",
        {"num": "99"},
        (
            '{"num":"99","date":"2026-03-04","target":20,"shortBelow":5,"offered":0,"answered":17,"answeredInTarget":16,'
            '"abandoned":1,"shortAbandoned":0,"missed":2,"elsewhere":1,"unknown":0,"ringing":0,"serviceLevel":80.0,'
            '"waits":{"count":17,"total":127.5,"average":7.5,"longest":24.1},'
            '"abandons":{"count":1,"total":12.4,"average":12.4,"longest":12.4},'
            '"talks":{"count":16,"total":2912.0,"average":182.0,"longest":640.2},'
            '"queueOffered":18,"queueAnswered":15,"placed":4,"placedAnswered":3,'
            '"placedTalks":{"count":3,"total":301.5,"average":100.5,"longest":180.0},'
            '"unanswered":4,"yesterday":null}'
        ),
    ),
    (
        "queue.stats.get",
        {"num": "800"},
        (
            '{"num":"800","date":"2026-03-04","target":30,"shortBelow":5,"offered":5,"answered":36,'
            '"answeredInTarget":31,"abandoned":3,"shortAbandoned":1,"diverted":1,"unknown":0,"waiting":1,'
            '"serviceLevel":77.5,"waits":{"count":36,"total":511.2,"average":14.2,"longest":71.0},'
            '"abandons":{"count":3,"total":143.1,"average":47.7,"longest":80.3},'
            '"talks":{"count":35,"total":6402.5,"average":182.9,"longest":913.8},'
            '"unanswered":5,"callbacks":2,"callbacksFailed":1,"slaBreaches":7,'
            '"lastHalfHour":{"counted":6,"answeredInTarget":6,"serviceLevel":100.0},'
            '"lastHour":{"counted":11,"answeredInTarget":10,"serviceLevel":90.9},"yesterday":null}'
        ),
    ),
    ("queue.members.get", {"num": "800"}, '{"nums":["101","1000","99","102","555"]}'),
    ("queue.managers.get", {"num": "800"}, '{"nums":["103","99"]}'),
    ("queue.free.get", {"num": "800"}, '{"nums":["1000","99"]}'),
    ("queue.talk.get", {"num": "800"}, '{"nums":["101"]}'),
    ("queue.isfree.get", {"num": "800"}, '{"result":true}'),
    ("queue.isfree.get", {"num": "801"}, '{"result":false}'),
    ("group.members.get", {"num": "600"}, '{"nums":["103","101","1000","99"]}'),
    ("group.free.get", {"num": "600"}, '{"nums":["1000","99"]}'),
    ("extgroup.members.get", {"name": "Sales"}, '{"nums":["99","1000"]}'),
    ("contact.find", {"num": "555-1234"}, '{"ids":[40]}'),
    ("contact.find", {"num": "5551234", "min_len": "9"}, '{"ids":[40]}'),
    ("contact.find", {"num": "5551234", "min_len": "7"}, '{"ids":[12,40]}'),
    ("contact.find", {"num": "5551234", "min_len": "0"}, '{"ids":[12,40]}'),
    ("contact.find", {"num": "891234", "min_len": "4"}, '{"ids":[41]}'),
    ("contact.find", {"num": "871234", "min_len": "4"}, '{"ids":[12,40,41]}'),
    ("contact.find", {"num": "891235", "min_len": "4"}, '{"ids":[]}'),
    (
        "contact.get",
        {"id": "12"},
        (
            '{"id":12,"firstname":"Анна","lastname":"Müller","company":"Acme","tag":"vip",'
            '"phone":"+49 170 1234567","data0":"","data1":"","data2":null,'
            '"data3":"030 555 1234","data4":"","data5":"anna@example.com",'
            '"data6":"","data7":"","data8":null,"data9":""}'
        ),
    ),
]
