from __future__ import annotations

from monitor.simulator.xapi.description.operations import described, invoked


def test_operations_are_told_apart() -> None:
    kinds = {(one.method, one.path): one for one in described()}
    assert kinds["GET", "/Users"].lists
    assert kinds["GET", "/SystemStatus"].lists
    one = kinds["GET", "/Users({Id})/Groups"]
    assert (one.owner, one.keyed, one.name, one.lists) == ("Users", True, "Groups", False)
    assert kinds["PATCH", "/Users({Id})"].status == 204
    assert not kinds["PATCH", "/Users({Id})"].answer.name
    action = invoked()["ServicePrincipals", "Pbx.GenerateAppToken"]
    assert (action.method, action.keyed) == ("POST", True)
    function = invoked()["Contacts", "Pbx.GetContactsByNumber"]
    assert (function.parameters, function.answer.many) == ({"number": "string"}, True)
