"""What each call that holds alarms back shows a caller of every sort of thing."""

from tests.support.cells import Caller, City, Probe, things

WHY = {"reason": "so it is"}
REACHED, REFUSED = (200, 204, 409), (403, 404)


async def shelve(city: City, caller: Caller) -> set[int]:
    """Try to shelve, take back and reset each alarm; those are emergencies, so 409 is yes."""
    found: list[set[int]] = []
    for verb, body in (("shelve", {**WHY, "minutes": 5}), ("unshelve", {}), ("reset", {})):
        done = set()
        for alarm, thing in city.alarms.items():
            answer = await city.send(caller, "POST", f"/api/v1/alarms/{alarm}/{verb}", body)
            assert answer.status_code in (*REACHED, *REFUSED), answer.text
            done |= {thing.number} if answer.status_code in REACHED else set()
        found.append(done)
    assert found[0] == found[1] == found[2]
    return found[0]


async def out_of_service(city: City, caller: Caller) -> set[int]:
    """Take each thing out of service and put it back."""
    done = set()
    for thing in things():
        path = f"/api/v1/assets/{thing.asset}/out-of-service"
        answer = await city.send(caller, "PUT", path, WHY)
        assert answer.status_code in (*REACHED, *REFUSED), answer.text
        if answer.status_code == 200:
            done.add(thing.number)
        back = await city.send(caller, "DELETE", path, None)
        assert (back.status_code == 204) == (answer.status_code == 200), back.text
    return done


ALARM_PROBES: dict[str, Probe] = {
    "alarms.shelve": shelve,
    "alarms.out_of_service": out_of_service,
}
