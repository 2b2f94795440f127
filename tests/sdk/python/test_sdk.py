"""The official Python SDK, unchanged, against the real hub: every scenario in JSON and in Protobuf."""

import asyncio
import json
import signal

import pytest
import pytest_asyncio
from centrifuge import (
    Client,
    ClientEventHandler,
    ClientState,
    DeltaType,
    Filter,
    ReplyError,
    StreamPosition,
    SubscriptionEventHandler,
)

from hub import Hub, eventually, in_seconds, token

READY = 10


class Recorder:
    """Keeps every event of an SDK object, in order, by the name of its handler."""

    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return object.__getattribute__(self, name)

        async def record(context):
            self.events.append((name, context))

        return record

    def of(self, name):
        return [context for event, context in self.events if event == name]

    async def next(self, name, count=1):
        await eventually(f"{count} of {name} among {self.events}", lambda: len(self.of(name)) >= count)
        return self.of(name)[count - 1]


class ClientRecorder(Recorder, ClientEventHandler):
    pass


class SubscriptionRecorder(Recorder, SubscriptionEventHandler):
    pass


class Application:
    """One codec's view of the hub, and everything that a test opened in it."""

    def __init__(self, hub, use_protobuf):
        self.hub = hub
        self.use_protobuf = use_protobuf
        self.clients = []

    def write(self, value):
        return json.dumps(value).encode() if self.use_protobuf else value

    def read(self, data):
        return json.loads(data) if self.use_protobuf else data

    def client(self, **options):
        options = {"token": token(sub="42"), "min_reconnect_delay": 0.02, "proxy": None, **options}
        client = Client(self.hub.websocket, events=ClientRecorder(), use_protobuf=self.use_protobuf, **options)
        self.clients.append(client)
        return client

    async def connected(self, **options):
        client = self.client(**options)
        await client.connect()
        await client.ready(READY)
        return client

    async def subscribed(self, client, channel, **options):
        sub = client.new_subscription(channel, events=SubscriptionRecorder(), **options)
        await sub.subscribe()
        await sub.ready(READY)
        return sub

    def seen(self, recorder):
        return [self.read(context.pub.data) for context in recorder.of("on_publication")]

    async def seen_all(self, recorder, expected):
        await eventually(f"{expected} arriving", lambda: len(self.seen(recorder)) >= len(expected))
        assert self.seen(recorder) == expected


@pytest_asyncio.fixture(params=["json", "protobuf"])
async def app(request):
    hub = await Hub.start()
    application = Application(hub, request.param == "protobuf")
    yield application
    for client in application.clients:
        await client.disconnect()
    await hub.until_empty()
    await hub.stop()


async def code_of(call):
    with pytest.raises(ReplyError) as raised:
        await call
    return raised.value.code


def cut(client):
    """Cuts the socket under the SDK's feet, without a close frame."""
    client._conn.transport.abort()


async def test_connect_and_many_subscribes_travel_together(app):
    client = app.client()
    subs = [client.new_subscription(channel) for channel in ("a", "b", "news:c", "room:d", "tiny:e")]
    for sub in subs:
        await sub.subscribe()
    await client.connect()
    for sub in subs:
        await sub.ready(READY)
    assert len((await client.events.next("on_connected")).client) == 36


async def test_pings_keep_a_connection_and_their_absence_ends_it(app):
    client = await app.connected(max_server_ping_delay=1)
    # Longer than ping interval and delay together.
    await asyncio.wait([asyncio.ensure_future(client.events.next("on_disconnected"))], timeout=4)
    assert len(client.events.of("on_connecting")) == 1, "the hub pings in time"
    app.hub.signal(signal.SIGSTOP)
    try:
        assert (await client.events.next("on_connecting", 2)).code == 2
    finally:
        app.hub.signal(signal.SIGCONT)
    await client.ready(READY)


async def test_ten_clients_connect_and_disconnect_in_loops(app):
    async def loop():
        client = app.client()
        for _ in range(10):
            await client.connect()
            await client.ready(READY)
            await client.disconnect()
        for _ in range(30):
            await client.connect()
            await client.disconnect()

    await asyncio.gather(*(loop() for _ in range(10)))


async def test_quick_subscribe_and_unsubscribe_loops_end_subscribed(app):
    client = await app.connected()
    sub = client.new_subscription("news:loop", events=SubscriptionRecorder())
    for _ in range(50):
        await sub.subscribe()
        await sub.unsubscribe()
    await sub.subscribe()
    await sub.ready(READY)
    await sub.publish(app.write("heard"))
    await app.seen_all(sub.events, ["heard"])
    assert sub.events.of("on_error") == []


async def test_a_call_without_a_handler_is_not_available(app):
    client = app.client()
    await client.connect()
    assert await code_of(client.rpc("anything", app.write({}))) == 108


async def test_presence_and_history_are_not_available_where_they_are_off(app):
    client = await app.connected()
    assert await code_of(client.presence("plain")) == 108
    assert await code_of(client.presence_stats("plain")) == 108
    assert await code_of(client.history("plain", limit=1)) == 108


async def test_a_publication_reaches_its_publisher_with_who_where_and_what(app):
    client = await app.connected(token=token(sub="42", info={"name": "Deep"}))
    sub = await app.subscribed(client, "news:self")
    await sub.publish(app.write({"input": "grüße 你好 😀"}))
    publication = (await sub.events.next("on_publication")).pub
    assert app.read(publication.data) == {"input": "grüße 你好 😀"}
    assert (publication.offset, publication.info.user) == (1, "42")
    assert app.read(publication.info.conn_info) == {"name": "Deep"}
    await app.hub.api("publish", channel="news:self", data=1, tags={"kind": "test"})
    assert (await sub.events.next("on_publication", 2)).pub.tags == {"kind": "test"}


async def test_what_a_subscription_tells_reaches_the_application(app):
    client = await app.connected()
    sub = await app.subscribed(client, "news:context")
    context = await sub.events.next("on_subscribed")
    assert (context.recoverable, context.positioned) == (True, True)
    assert (context.was_recovering, context.recovered) == (False, False)
    assert context.stream_position.epoch and context.stream_position.offset == 0
    locked = await app.subscribed(client, "locked:data", token=token(sub="42", channel="locked:data", data={"hello": "you"}))
    assert app.read((await locked.events.next("on_subscribed")).data) == {"hello": "you"}


async def test_after_an_unsubscribe_and_after_a_cut_exactly_what_was_missed_comes(app):
    client = await app.connected()
    sub = await app.subscribed(client, "news:recover")
    publish = lambda number: app.hub.api("publish", channel="news:recover", data=number)
    await publish(0)
    await app.seen_all(sub.events, [0])
    await sub.unsubscribe()
    for number in (1, 2, 3):
        await publish(number)
    await sub.subscribe()
    await sub.ready(READY)
    context = await sub.events.next("on_subscribed", 2)
    assert (context.was_recovering, context.recovered) == (True, True)
    await app.seen_all(sub.events, [0, 1, 2, 3])
    cut(client)
    for number in (4, 5, 6):
        await publish(number)
    assert (await sub.events.next("on_subscribed", 3)).recovered
    await publish(7)
    await app.seen_all(sub.events, [0, 1, 2, 3, 4, 5, 6, 7])


async def test_more_than_the_history_holds_is_not_recovered_and_said_so(app):
    client = await app.connected()
    sub = await app.subscribed(client, "tiny:gap", recoverable=True)
    await app.hub.api("publish", channel="tiny:gap", data=0)
    await app.seen_all(sub.events, [0])
    await sub.unsubscribe()
    for number in (1, 2, 3):
        await app.hub.api("publish", channel="tiny:gap", data=number)
    await sub.subscribe()
    await sub.ready(READY)
    context = await sub.events.next("on_subscribed", 2)
    assert (context.was_recovering, context.recovered) == (True, False)
    await app.hub.api("publish", channel="tiny:gap", data=4)
    await app.seen_all(sub.events, [0, 4])


async def test_an_application_that_loads_its_own_state_is_asked_again_when_recovery_fails(app):
    client = await app.connected()
    positions = []

    async def get_state(channel):
        top = await app.hub.api("history", channel=channel, limit=0)
        positions.append(top["offset"])
        return StreamPosition(offset=top["offset"], epoch=top["epoch"])

    sub = await app.subscribed(client, "tiny:state", get_state=get_state, recoverable=True)
    await app.hub.api("publish", channel="tiny:state", data=0)
    await app.seen_all(sub.events, [0])
    await sub.unsubscribe()
    for number in (1, 2, 3):
        await app.hub.api("publish", channel="tiny:state", data=number)
    await sub.subscribe()
    await sub.ready(READY)
    assert positions == [0, 4]
    await app.hub.api("publish", channel="tiny:state", data=4)
    await app.seen_all(sub.events, [0, 4])


async def test_joins_and_leaves_are_seen_and_presence_names_both(app):
    alice = await app.connected()
    bob = await app.connected(token=token(sub="bob"))
    room = await app.subscribed(alice, "room:x")
    his = await app.subscribed(bob, "room:x")
    joined = (await room.events.next("on_join", 2)).info
    assert joined.user == "bob"
    there = (await alice.presence("room:x")).clients
    assert sorted(info.user for info in there.values()) == ["42", "bob"]
    assert there[joined.client].user == "bob"
    stats = await alice.presence_stats("room:x")
    assert (stats.num_clients, stats.num_users) == (2, 2)
    await his.unsubscribe()
    assert (await room.events.next("on_leave")).info.client == joined.client


async def test_server_side_subscriptions_come_publish_go_and_recover(app):
    client = await app.connected()
    assert (await client.events.next("on_subscribed")).channel == "personal:#42"
    assert (await client.events.next("on_join")).info.user == "42"
    await app.hub.api("publish", channel="personal:#42", data={"for": "you"})
    assert app.read((await client.events.next("on_publication")).pub.data) == {"for": "you"}
    await app.hub.api("subscribe", user="42", channel="news:pushed")
    assert (await client.events.next("on_subscribed", 2)).channel == "news:pushed"
    await app.hub.api("unsubscribe", user="42", channel="news:pushed")
    assert (await client.events.next("on_unsubscribed")).channel == "news:pushed"

    durable = await app.connected(token=token(sub="43", channels=["news:durable"]))
    await app.hub.api("publish", channel="news:durable", data=1)
    await app.seen_all(durable.events, [1])
    cut(durable)
    await app.hub.api("publish", channel="news:durable", data=2)
    await durable.events.next("on_connected", 2)
    await app.seen_all(durable.events, [1, 2])


async def test_an_invalid_token_is_the_end(app):
    client = app.client(token=token(sub="42") + "x")
    await client.connect()
    assert (await client.events.next("on_disconnected")).code == 3500


async def test_an_expired_token_is_replaced_and_refreshed(app):
    asked = []

    async def get_token():
        asked.append(None)
        return token(sub="42", exp=in_seconds(2 if len(asked) == 1 else 600))

    client = await app.connected(token=token(sub="42", exp=in_seconds(-60)), get_token=get_token)
    await eventually("the refresh", lambda: len(asked) == 2)
    await client.publish("plain", app.write(1))
    assert client.state == ClientState.CONNECTED


async def test_an_invalid_subscription_token_unsubscribes(app):
    client = await app.connected()
    sub = client.new_subscription("locked:x", events=SubscriptionRecorder(), token="invalid")
    await sub.subscribe()
    assert (await sub.events.next("on_unsubscribed")).code == 103


async def test_a_subscription_token_is_asked_for_replaced_and_refreshed(app):
    client = await app.connected()
    asked = []

    async def get_token(channel):
        asked.append(None)
        lives = {1: -60, 2: 2}.get(len(asked), 600)
        return token(sub="42", channel=channel, exp=in_seconds(lives))

    sub = client.new_subscription("locked:refreshed", events=SubscriptionRecorder(), get_token=get_token, min_resubscribe_delay=0.02)
    await sub.subscribe()
    await sub.ready(READY)
    await eventually("the refresh", lambda: len(asked) >= 3)
    await app.hub.api("publish", channel="locked:refreshed", data=1)
    await app.seen_all(sub.events, [1])


async def test_a_socket_that_is_cut_holds_nothing(app):
    clients = [await app.connected(token=token(sub=f"u{number}"), min_reconnect_delay=60, max_reconnect_delay=60) for number in range(20)]
    for client in clients:
        await app.subscribed(client, "room:cut")
    for client in clients:
        cut(client)
    await app.hub.until_empty()


async def test_a_client_publishes_and_reads_pages_without_subscribing(app):
    client = await app.connected()
    for number in range(1, 11):
        await client.publish("news:pages", app.write(number))

    async def page(**options):
        return [app.read(publication.data) for publication in (await client.history("news:pages", **options)).publications]

    top = await client.history("news:pages", limit=0)
    assert (top.offset, top.publications) == (10, [])
    since = lambda offset: StreamPosition(offset=offset, epoch=top.epoch)
    assert await page(limit=3) == [1, 2, 3]
    assert await page(limit=3, since=since(3)) == [4, 5, 6]
    assert await page(limit=3, reverse=True) == [10, 9, 8]
    assert await page(limit=3, reverse=True, since=since(3)) == [2, 1]
    assert len(await page(limit=-1)) == 10
    assert await code_of(client.history("news:pages", limit=1, since=StreamPosition(offset=1, epoch="gone"))) == 112


async def test_a_payload_arrives_as_it_was_published(app):
    client = await app.connected()
    sub = await app.subscribed(client, "plain")
    payload = {"z": 1, "a": [12345678901234567890, 0.1, None, True, ""], "m": {"b": 1, "a": 2}, "text": '\u0000"\\/é😀'}
    await app.hub.api("publish", channel="plain", data=payload)
    received = app.read((await sub.events.next("on_publication")).pub.data)
    assert json.dumps(received) == json.dumps(payload), "numbers and the order of members are untouched"


async def test_the_application_throws_a_client_out_for_good_or_for_a_moment(app):
    client = await app.connected()
    await app.hub.api("disconnect", user="42", disconnect={"code": 4000, "reason": "come back"})
    assert (await client.events.next("on_connecting", 2)).code == 4000
    await client.events.next("on_connected", 2)
    await app.hub.api("disconnect", user="42")
    assert (await client.events.next("on_disconnected")).code == 3503


async def test_a_burst_arrives_complete_and_in_order(app):
    speaker = await app.connected()
    listener = await app.connected(token=token(sub="bob"))
    sub = await app.subscribed(listener, "plain-burst")
    for number in range(500):
        await speaker.publish("plain-burst", app.write(number))
    await app.seen_all(sub.events, list(range(500)))


def version_of(number):
    """A document of which only a little changes from one number to the next, and sometimes everything."""
    rows = [{"name": f"row {row} – größe €", "value": number if row == number % 12 else row, "note": "😀"} for row in range(12)]
    return {"nothing": f"of the one before: {number}"} if number % 9 == 8 else {"number": number, "rows": rows}


async def test_what_the_sdk_makes_of_deltas_is_what_was_published(app):
    client = await app.connected()
    sub = await app.subscribed(client, "doc:delta", delta=DeltaType.FOSSIL)
    published = []

    async def publish(count):
        for _ in range(count):
            published.append(version_of(len(published)))
            await app.hub.api("publish", channel="doc:delta", data=published[-1])

    await publish(12)
    for missed in (0, 1, 4):
        await app.seen_all(sub.events, published)
        cut(client)
        await publish(missed)
        await sub.ready(READY)
        await publish(3)
    await app.seen_all(sub.events, published)
    deltas = [context.pub.delta for context in sub.events.of("on_publication")]
    assert deltas.count(True) > len(published) / 2, deltas


async def test_a_filter_by_tags_holds_for_what_is_live_and_for_what_was_missed(app):
    client = await app.connected()
    wanted = Filter.all(Filter.is_in("kind", ["car", "boat"]), Filter.negate(Filter.gte("price", "300")))
    sub = await app.subscribed(client, "doc:filtered", tags_filter=wanted)

    async def offer(number, kind):
        await app.hub.api("publish", channel="doc:filtered", data=number, tags={"kind": kind, "price": f"{number}00"})

    for number, kind in ((1, "car"), (2, "plane"), (2, "boat"), (3, "car")):
        await offer(number, kind)
    await app.seen_all(sub.events, [1, 2])
    await client.disconnect()
    for number, kind in ((1, "plane"), (1, "boat"), (9, "car")):
        await offer(number, kind)
    await client.connect()
    await sub.ready(READY)
    await offer(2, "car")
    await app.seen_all(sub.events, [1, 2, 1, 2])
