"""host.py - a Sparkplug host as one writes it in Python: paho-mqtt, protobuf, psycopg2.

    python3 host.py PB_FOLDER PORT CONNINFO ROWS copy|insert

Learns names and aliases from births, stores the metrics of DATA messages in table bench_landing, by
COPY in batches of 5,000 or with one INSERT per metric, and ends when ROWS rows are in. Prints
"ready" once it has subscribed and a JSON object at the end. Written to be compared with in
tests/bench/ingest-peers.mjs.
"""
import io
import json
import queue
import sys
import threading
import time

import paho.mqtt.client as mqtt
import psycopg2

sys.path.insert(0, sys.argv[1])
import sparkplug_b_pb2  # noqa: E402  (made by protoc just before)

port, conninfo, wanted, how = int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
BATCH = 5000
FIELDS = {10: "int_value", 11: "long_value", 12: "float_value", 13: "double_value", 14: "boolean_value"}

rows = queue.Queue(maxsize=200)
batch, series, aliases, started = [], {}, {}, None


def learn(scope, metric):
    series_id = series.setdefault((scope, metric.name), len(series) + 1)
    if metric.HasField("alias"):
        aliases[scope, metric.alias] = series_id


def on_message(client, userdata, message):
    global batch, started
    levels = message.topic.split("/")
    kind, scope = levels[2], "/".join(levels[3:])
    if not kind.endswith(("BIRTH", "DATA")):
        return
    payload = sparkplug_b_pb2.Payload()
    payload.ParseFromString(message.payload)
    if kind.endswith("BIRTH"):
        for metric in payload.metrics:
            learn(scope, metric)
    elif kind.endswith("DATA"):
        started = started or time.time()
        for metric in payload.metrics:
            value = getattr(metric, metric.WhichOneof("value"))
            batch.append((aliases[scope, metric.alias], metric.timestamp, float(value)))
        if len(batch) >= BATCH:
            rows.put(batch)
            batch = []


def copy(cursor, some):
    text = io.StringIO()
    for series_id, ms, value in some:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ms // 1000))
        text.write(f"{series_id}\t{stamp}.{ms % 1000:03d}+00\t{value!r}\t0\n")
    text.seek(0)
    cursor.copy_expert("COPY bench_landing (series_id, ts, value, quality) FROM STDIN", text)


def insert(cursor, some):
    for series_id, ms, value in some:
        cursor.execute(
            "INSERT INTO bench_landing (series_id, ts, value, quality) "
            "VALUES (%s, to_timestamp(%s), %s, 0)", (series_id, ms / 1000, value))


def write():
    global batch
    connection = psycopg2.connect(conninfo)
    stored = 0
    while stored < wanted:
        try:
            some = rows.get(timeout=0.5)
        except queue.Empty:
            some, batch = batch, []
        if not some:
            continue
        with connection, connection.cursor() as cursor:
            (copy if how == "copy" else insert)(cursor, some)
        stored += len(some)
    print(json.dumps({"stored": stored, "done_ms": time.time() * 1000}), flush=True)


client = mqtt.Client()
client.on_message = on_message
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", port)
client.subscribe("spBv1.0/#")
client.loop_start()
writer = threading.Thread(target=write)
writer.start()
writer.join()
client.loop_stop()
